// Members in one thread under a virtual clock: directed tests of elections and of membership say
// which links are up and how long they are. For tests.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "raft/driver.h"
#include "raft/load_snapshot.h"
#include "raft/sim_disk.h"
#include "raft/test_machine.h"

namespace faultline::raft {

class TestGroup {
 public:
  // Members 1 to `size` begin together; one-way delay between any two unless SetDelay.
  explicit TestGroup(uint64_t size, uint64_t delay_us = 50) : delay_us_(delay_us) {
    std::vector<Member> members;
    for (uint64_t id = 1; id <= size; ++id) members.push_back({id, AddressOf(id)});
    for (uint64_t id = 1; id <= size; ++id) {
      One& one = Make(id);
      one.disk.Apply(InitialLog(members));
      Start(id);
    }
  }

  static std::string AddressOf(uint64_t id) { return "m" + std::to_string(id) + ":1"; }

  Options& options() { return options_; }  // of those that start from now on
  Driver& driver(uint64_t id) { return *ones_.at(id)->driver; }
  TestMachine& machine(uint64_t id) { return *ones_.at(id)->machine; }
  bool running(uint64_t id) const { return ones_.count(id) > 0 && ones_.at(id)->driver != nullptr; }
  uint64_t now_ms() const { return now_ns_ / kNanosPerMilli; }
  uint64_t NowNs(uint64_t id) const { return ones_.at(id)->NowNs(); }  // of its clock

  // A node with an empty log, which waits to be sent one.
  void StartJoining(uint64_t id) {
    Make(id).joins = true;
    Start(id);
  }
  void Start(uint64_t id) {
    One& one = *ones_.at(id);
    Options options = options_;
    options.id = id;
    options.seed = id * 7'919;
    options.join = one.joins;
    one.machine = std::make_unique<TestMachine>();
    one.driver = std::make_unique<Driver>(options, one.machine.get(), &one);
    started_ = one.driver->Start(one.disk.Load());
    After(one);
  }
  void Stop(uint64_t id) {
    One& one = *ones_.at(id);
    ++one.life;
    one.armed_ns = 0;
    one.under_way.reset();
    one.driver = nullptr;
  }
  const Status& started() const { return started_; }  // the newest start

  // What a member's disk does from now on with the write under way and those that come.
  enum class Disk { kWorks, kHangs, kFails };
  void SetDisk(uint64_t id, Disk disk) {
    One& one = *ones_.at(id);
    one.disk_does = disk;
    one.EndWrite();
    After(one);
  }
  // Begun before the one before had ended, which no member may do.
  int overlapping_writes() const { return overlapping_writes_; }

  void Cut(uint64_t from, uint64_t to) { cut_.insert({from, to}); }
  void Isolate(uint64_t id) {
    for (const auto& [other, one] : ones_) {
      Cut(id, other);
      Cut(other, id);
    }
  }
  void Mend() { cut_.clear(); }
  void SetDelay(uint64_t from, uint64_t to, uint64_t us) { delays_us_[{from, to}] = us; }
  // Sees each message before it is sent, and may change it; false loses it.
  std::function<bool(uint64_t from, uint64_t to, pb::PeerMessage*)> tamper;

  // Within what a member does.
  void Spend(uint64_t duration_ms) { now_ns_ += duration_ms * kNanosPerMilli; }
  // Runs for so long, or until `done`, and says whether that came.
  bool RunFor(uint64_t duration_ms, const std::function<bool()>& done = nullptr) {
    const uint64_t end_ns = now_ns_ + duration_ms * kNanosPerMilli;
    if (done && done()) return true;
    while (!events_.empty() && events_.top().time_ns <= end_ns) {
      const Event event = events_.top();
      events_.pop();
      now_ns_ = std::max(now_ns_, event.time_ns);
      event.run();
      if (done && done()) return true;
    }
    now_ns_ = end_ns;
    return false;
  }

  // Who leads, of the highest term; 0 when nobody does in time.
  uint64_t WaitForLeader(uint64_t limit_ms = 20'000) {
    uint64_t leader = 0;
    RunFor(limit_ms, [&] { return (leader = Leader()) != 0; });
    return leader;
  }
  uint64_t Leader() const {
    uint64_t leader = 0;
    uint64_t term = 0;
    for (const auto& [id, one] : ones_) {
      if (one->driver == nullptr) continue;
      const View view = one->driver->view();
      if (view.role == Role::kLeader && view.term > term && one->driver->quorum_ns() != 0) {
        leader = id;
        term = view.term;
      }
    }
    return leader;
  }

  // Each asks `id` and runs until it has answered.
  Status Change(uint64_t id, MemberChange change, uint64_t limit_ms = 20'000) {
    return Ask(limit_ms, [&](std::function<void(Status)> done) {
      driver(id).Change(std::move(change), std::move(done));
      After(*ones_.at(id));
    });
  }
  Status Transfer(uint64_t id, uint64_t to) {
    return Ask(20'000, [&](std::function<void(Status)> done) {
      driver(id).Transfer(to, std::move(done));
      After(*ones_.at(id));
    });
  }
  Status Propose(uint64_t id, const std::string& command, uint64_t limit_ms = 20'000) {
    return Ask(limit_ms, [&](const std::function<void(Status)>& done) {
      driver(id).Propose(command, [done](const auto& result) { done(result.status()); });
      After(*ones_.at(id));
    });
  }
  // Proposes, and does not wait for the answer.
  void Submit(uint64_t id, const std::string& command) {
    driver(id).Propose(command, [](const auto&) {});
    After(*ones_.at(id));
  }
  Status Add(uint64_t id, uint64_t limit_ms = 20'000) {
    return Change(Leader(), {MemberChange::Kind::kAdd, id, AddressOf(id)}, limit_ms);
  }
  Status Promote(uint64_t id) { return Change(Leader(), {MemberChange::Kind::kPromote, id, ""}); }
  Status Remove(uint64_t id) { return Change(Leader(), {MemberChange::Kind::kRemove, id, ""}); }

  uint64_t Term(uint64_t id) { return driver(id).core_status().term; }
  // Members and learners of the newest configuration, as "1 2 (3)".
  std::string Members(uint64_t id) {
    std::string text;
    for (const Member& member : driver(id).members()) {
      if (!text.empty()) text += ' ';
      text += fmt::format(fmt::runtime(member.learner ? "({})" : "{}"), member.id);
    }
    return text;
  }

 private:
  struct Event {
    uint64_t time_ns;
    uint64_t order;
    std::function<void()> run;
    bool operator>(const Event& other) const {
      return time_ns != other.time_ns ? time_ns > other.time_ns : order > other.order;
    }
  };
  struct One final : Driver::Host {
    One(TestGroup* in, uint64_t own_id) : group(in), id(own_id) {}
    uint64_t NowNs() const override { return group->now_ns_ + id * kNanosPerSecond; }
    void StartWrite(LogWrite write) override {
      group->overlapping_writes_ += under_way.has_value();
      under_way = std::move(write);
      Later(20'000, [this] { EndWrite(); });
    }
    void EndWrite() {
      if (!under_way || disk_does == Disk::kHangs) return;
      if (disk_does == Disk::kFails) {
        return driver->WriteDone(MakeError(StatusCode::kUnavailable, "input/output error"));
      }
      disk.Apply(*std::exchange(under_way, std::nullopt));
      driver->WriteDone(absl::OkStatus());
    }
    void StartSnapshot(pb::SnapshotMetadata metadata,
                       std::shared_ptr<const StateImage> image) override {
      Later(1'000'000,
            [this, made = MakeSnapshot(metadata, *image)] { driver->SnapshotDone(made); });
    }
    void StartFetch(const Member& from, SnapshotPtr wanted) override {
      Later(1'000'000, [this, from = from.id, wanted] {
        const SnapshotPtr& found = group->ones_.at(from)->disk.snapshot;
        if (!found || found->sum != wanted->sum) {
          return driver->FetchDone(MakeError(StatusCode::kNotFound, "it is not offered any more"));
        }
        auto state = LoadSnapshot(*found, *machine);
        if (!state.ok()) return driver->FetchDone(state.status());
        driver->FetchDone(Driver::Fetched{found, *std::move(state)});
      });
    }
    void Later(uint64_t delay_ns, std::function<void()> run) {
      group->At(group->now_ns_ + delay_ns, [this, run = std::move(run), born = life] {
        if (life != born || driver == nullptr) return;
        run();
        group->After(*this);
      });
    }
    void Send(const Member& to, std::string message) override {
      group->Transmit(id, to.address, std::move(message));
    }

    TestGroup* const group;
    const uint64_t id;
    bool joins = false;
    uint64_t life = 0;
    uint64_t armed_ns = 0;
    SimDisk disk;
    Disk disk_does = Disk::kWorks;
    std::optional<LogWrite> under_way;
    std::unique_ptr<TestMachine> machine;
    std::unique_ptr<Driver> driver;
  };

  One& Make(uint64_t id) {
    ones_[id] = std::make_unique<One>(this, id);
    return *ones_[id];
  }
  void At(uint64_t time_ns, std::function<void()> run) {
    events_.push({time_ns, order_++, std::move(run)});
  }
  void After(One& one) {
    if (one.driver == nullptr) return;
    one.driver->Pump();
    const uint64_t offset_ns = one.id * kNanosPerSecond;
    const uint64_t due_ns =
        std::max(one.driver->next_tick_ns() - offset_ns, now_ns_ + kNanosPerMilli / 2);
    if (one.armed_ns > now_ns_ && one.armed_ns <= due_ns) return;
    one.armed_ns = due_ns;
    At(due_ns, [this, &one, born = one.life] {
      if (one.life != born || one.driver == nullptr) return;
      one.driver->Tick();
      After(one);
    });
  }
  void Transmit(uint64_t from, const std::string& address, std::string bytes) {
    uint64_t to = 0;
    for (const auto& [id, one] : ones_) {
      if (AddressOf(id) == address) to = id;
    }
    if (to == 0 || cut_.count({from, to}) > 0) return;
    if (tamper) {
      pb::PeerMessage message;
      message.ParseFromString(bytes);
      if (!tamper(from, to, &message)) return;
      bytes = message.SerializeAsString();
    }
    const auto delay = delays_us_.find({from, to});
    const uint64_t delay_us = delay == delays_us_.end() ? delay_us_ : delay->second;
    At(now_ns_ + delay_us * 1'000, [this, from, to, bytes] {
      One& one = *ones_.at(to);
      if (one.driver == nullptr || cut_.count({from, to}) > 0) return;
      one.driver->Receive(from, bytes);
      After(one);
    });
  }
  template <typename Start>
  Status Ask(uint64_t limit_ms, Start start) {
    auto answer = std::make_shared<std::optional<Status>>();
    start([answer](const Status& status) { *answer = status; });
    if (!RunFor(limit_ms, [&] { return answer->has_value(); })) {
      return MakeError(StatusCode::kUnknown, "no answer");
    }
    return **answer;
  }

  const uint64_t delay_us_;
  Options options_;
  uint64_t now_ns_ = kNanosPerSecond;
  uint64_t order_ = 0;
  int overlapping_writes_ = 0;
  Status started_;
  std::map<uint64_t, std::unique_ptr<One>> ones_;
  std::set<std::pair<uint64_t, uint64_t>> cut_;
  std::map<std::pair<uint64_t, uint64_t>, uint64_t> delays_us_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
};

}  // namespace faultline::raft
