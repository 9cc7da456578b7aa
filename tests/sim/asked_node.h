// A node as its membership service sees it: the referee hears what is asked of it, and what comes
// of that.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "raft/node.h"
#include "sim/referee.h"

namespace faultline::sim {

class AskedNode final : public raft::Node {
 public:
  // Both outlive it.
  AskedNode(uint64_t id, raft::Node* node, Referee* referee)
      : id_(id), node_(node), referee_(referee) {}

  void Change(raft::MemberChange change, std::function<void(Status)> done) override {
    const uint64_t ask = referee_->OnChangeAsked(id_, change);
    node_->Change(std::move(change), [referee = referee_, id = id_, ask,
                                      done = std::move(done)](const Status& status) {
      referee->OnChangeAnswered(id, ask, status);
      done(status);
    });
  }
  void Transfer(uint64_t to, std::function<void(Status)> done) override {
    referee_->OnTransferAsked(node_->GetView().term, to);
    node_->Transfer(to, std::move(done));
  }

  void Propose(std::string command, ProposeDone done, uint64_t deadline_ns) override {
    node_->Propose(std::move(command), std::move(done), deadline_ns);
  }
  void ReadBarrier(std::function<void(Status)> done) override {
    node_->ReadBarrier(std::move(done));
  }
  void Inspect(std::function<void(const raft::View&, const raft::GroupState&)> done) override {
    node_->Inspect(std::move(done));
  }
  void ObserveMembers(std::function<void(const std::vector<raft::Member>&)> observer) override {
    node_->ObserveMembers(std::move(observer));
  }
  void Receive(uint64_t from_id, std::string message) override {
    node_->Receive(from_id, std::move(message));
  }
  StatusOr<std::unique_ptr<ByteSource>> ReadSnapshot(const raft::Snapshot& wanted,
                                                     uint64_t offset) const override {
    return node_->ReadSnapshot(wanted, offset);
  }
  void Capture(Captured done) override { node_->Capture(std::move(done)); }
  raft::View GetView() const override { return node_->GetView(); }
  const raft::Meters& meters() const override { return node_->meters(); }
  std::chrono::nanoseconds QuorumAge() const override { return node_->QuorumAge(); }
  void ObserveView(std::function<void(const raft::View&)> observer) override {
    node_->ObserveView(std::move(observer));
  }

 private:
  const uint64_t id_;
  raft::Node* const node_;
  Referee* const referee_;
};

}  // namespace faultline::sim
