// A raft node for tests of what calls one.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "raft/node.h"
#include "raft/types.h"

namespace faultline::server {

// Takes every command, and commits nothing. What it sees of the group is what it was told last.
class SilentNode : public raft::Node {
 public:
  void Propose(std::string command, ProposeDone done, uint64_t deadline_ns) override {
    commands.push_back(std::move(command));
    waiting.push_back(std::move(done));
    deadlines_ns.push_back(deadline_ns);
  }
  void ReadBarrier(std::function<void(Status)> done) override { done(absl::OkStatus()); }
  void Receive(uint64_t, std::string) override {}
  void Change(raft::MemberChange change, std::function<void(Status)> done) override {
    if (change_) change_(change, std::move(done));
  }
  void Transfer(uint64_t, std::function<void(Status)> done) override {
    if (transfer_) transfer_(std::move(done));
  }
  void Inspect(std::function<void(const raft::View&, const raft::GroupState&)> done) override {
    if (inspect_) inspect_([done = std::move(done)] { done({}, {}); });
  }
  void ObserveMembers(std::function<void(const std::vector<raft::Member>&)>) override {}
  StatusOr<std::unique_ptr<ByteSource>> ReadSnapshot(const raft::Snapshot&,
                                                     uint64_t) const override {
    return absl::NotFoundError("there is none");
  }
  void Capture(Captured) override {}
  raft::View GetView() const override {
    ++looks_;
    const std::lock_guard lock(mutex_);
    return view_;
  }
  const raft::Meters& meters() const override { return meters_; }
  std::chrono::nanoseconds QuorumAge() const override { return {}; }
  void ObserveView(std::function<void(const raft::View&)>) override {}

  // How often somebody has looked what it sees: who searches for a leader does at every try.
  int looks() const { return looks_; }

  void See(raft::View view) {
    const std::lock_guard lock(mutex_);
    view_ = std::move(view);
  }
  // Before anybody calls Change, which is never answered else.
  using Changes = std::function<void(const raft::MemberChange&, std::function<void(Status)>)>;
  void OnChange(Changes changes) { change_ = std::move(changes); }
  // The same for Inspect.
  void OnInspect(std::function<void(std::function<void()>)> inspect) {
    inspect_ = std::move(inspect);
  }
  // The same for Transfer.
  using Transfers = std::function<void(std::function<void(Status)>)>;
  void OnTransfer(Transfers transfers) { transfer_ = std::move(transfers); }

  std::vector<std::string> commands;
  std::vector<ProposeDone> waiting;
  std::vector<uint64_t> deadlines_ns;

 private:
  raft::Meters meters_;
  Changes change_;
  Transfers transfer_;
  std::function<void(std::function<void()>)> inspect_;
  mutable std::atomic<int> looks_ = 0;
  mutable std::mutex mutex_;
  raft::View view_;
};

// What a search for a leader says at its deadline, which is half a second away. On a machine that
// stood still meanwhile, so that there was no try or (with the last one, at the deadline) fewer
// than `looks`, it searches again, for longer.
template <typename Search>
Status SearchInVain(const SilentNode& node, Search search, int looks = 2) {
  for (uint64_t patience_ns = kNanosPerSecond / 2;; patience_ns *= 4) {
    const int before = node.looks();
    const Status end = search(MonotonicNowNs() + patience_ns);
    if (node.looks() - before >= looks || patience_ns > 60 * kNanosPerSecond) return end;
  }
}

}  // namespace faultline::server
