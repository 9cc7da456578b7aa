// This node's replica: the state machine over Raft, what it holds, and who is told of changes.
//
// Threads: every method may be called from any thread. Changes are told by the raft node,
// without a lock held, in order of revision; observers must not block.
#pragma once

#include <chrono>
#include <functional>
#include <future>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/strand.h"
#include "control/apply.h"
#include "raft/node.h"
#include "raft/snapshot_codec.h"
#include "server/call.h"
#include "server/experiment_clock.h"
#include "server/overload.h"

namespace faultline::server {

// What one applied entry changed.
struct Change {
  uint64_t revision = 0;
  std::vector<std::shared_ptr<const chaos::v1::Experiment>> experiments;
  std::set<std::string> agents;  // whose record or desired state changed
  bool forgotten = false;        // some that changed are not kept: more had ended than are
  bool restored = false;         // a snapshot replaced everything; the sets are then empty
};

// A state on its way into a file, and what it stands for.
struct SavedImage {
  raft::pb::SnapshotMetadata metadata;
  std::shared_ptr<const raft::StateImage> image;
};

// UNAVAILABLE with reason NODE_ENDING.
Status NodeEnding();

// Not stamped yet; shared by all who may have to propose it.
using CommandPtr = std::shared_ptr<const control::v1::Command>;

class ControlPlane final : public raft::StateMachine {
 public:
  struct Proposed {
    control::v1::Result result;
    uint64_t revision = 0;  // 0 when refused before the log
  };

  // Commands on their way at once on this node, and their bytes. New experiments may take half of
  // it: what ends faults, and what agents report, is not held up by them.
  static constexpr size_t kMaxPending = 8'192;
  static constexpr size_t kMaxPendingBytes = 32 << 20;

  // `timers` runs the time-outs of WaitUntil. Commands up to `version` (control/version.h) can be
  // applied: what needs a later one stops the node.
  explicit ControlPlane(Strand* timers, uint32_t version = control::kNewestVersion);

  // The node whose state machine this is; before any method below but Observe.
  void Attach(raft::Node* node);
  // Before the node is destroyed: from now on nothing is proposed and nothing waited for. Those who
  // wait get UNAVAILABLE.
  void Detach();
  // Before Attach.
  void Observe(std::function<void(const Change&)> observer);

  // Leader: stamps the command, proposes it, and answers with its result once applied. Errors of
  // raft::Node::Propose; a refusal by the state machine is in the result. A CreateExperiment that
  // the present state refuses is refused without touching the log. DEADLINE_EXCEEDED / TOO_LATE
  // when `deadline_ns` (CLOCK_MONOTONIC) has passed before it is proposed; RESOURCE_EXHAUSTED /
  // TOO_MANY_PENDING; FAILED_PRECONDITION / CLUSTER_VERSION when not every member knows the
  // command.
  void Propose(CommandPtr command, uint64_t deadline_ns, Done<Proposed> done);
  void Propose(control::v1::Command command, uint64_t deadline_ns, Done<Proposed> done) {
    Propose(std::make_shared<const control::v1::Command>(std::move(command)), deadline_ns,
            std::move(done));
  }
  // Leader: the revision that a linearizable read must have seen. NOT_LEADER elsewhere.
  void ReadIndex(Done<uint64_t> done);

  // Calls `done` with OK as soon as `condition` holds: now, or after some change; with
  // DEADLINE_EXCEEDED at `deadline_ns` (CLOCK_MONOTONIC), with UNAVAILABLE after Detach. The
  // condition is called with the state locked.
  void WaitUntil(std::function<bool(const control::State&, uint64_t revision)> condition,
                 uint64_t deadline_ns, std::function<void(Status)> done);

  // The same for "revision `wanted` is applied here", at a cost that does not grow with those who
  // wait.
  void WaitForRevision(uint64_t wanted, uint64_t deadline_ns, std::function<void(Status)> done);

  // Calls read(state, version) with the state locked; `read` must not call back.
  template <typename Read>
  auto With(Read read) const {
    const std::lock_guard lock(mutex_);
    return read(state_, version_);
  }
  chaos::v1::StateVersion version() const;
  // What the clock that experiments' times are on shows here (ExperimentClock), in Unix
  // milliseconds. To be asked often: it is set while nothing is under way.
  int64_t unix_ms();
  // For how long this node has known of the experiment, in milliseconds; also within With.
  int64_t KnownMs(uint64_t created_index) const;
  // FAILED_PRECONDITION / OTHER_CLUSTER when a node asks that belongs to another cluster. OK when
  // one of the two is not known (empty).
  Status CheckCluster(const std::string& asking) const;

  raft::View view() const;
  std::chrono::nanoseconds quorum_age() const;

  // The state that this node has applied, as raft::Node::Capture gives it; UNAVAILABLE after
  // Detach.
  void CaptureForSave(Done<SavedImage> done);

  // What is on its way here: new experiments, and all commands.
  const Gate& starts() const { return starts_; }
  const Gate& commands() const { return commands_; }

  // What this node can apply.
  uint32_t supported_version() const { return supported_version_; }

  // Not OK once a command came that this node does not know: nothing is applied from then on.
  Status health() const override;
  std::string Apply(uint64_t index, uint64_t term, std::string_view command, bool wanted) override;
  void Advance(uint64_t index, uint64_t term) override;
  std::shared_ptr<const raft::StateImage> Capture() override;
  StatusOr<std::shared_ptr<raft::LoadedState>> Load(ByteSource& source) const override;
  void Restore(uint64_t index, uint64_t term, std::shared_ptr<raft::LoadedState> state) override;

 private:
  struct Waiter {
    std::function<bool(const control::State&, uint64_t)> condition;  // empty: of waiting_for_
    std::function<void(Status)> done;
  };
  using Waiters = std::list<std::shared_ptr<Waiter>>;
  struct Pending;

  Status Refusal(const control::v1::Command& command) const;
  Status CheckVersion(const control::v1::Command& command) const;
  void ProposeNow(const control::v1::Command& command, uint64_t deadline_ns, Done<Proposed> done);
  // True when the node knows the command; else it has stopped applying.
  bool Knows(const control::v1::Command& command, uint64_t index);
  // Sets the version; with the mutex held.
  void Stamp(uint64_t index, uint64_t term);
  // Takes out the waiters whose condition holds; with the mutex held.
  Waiters TakeReady();
  // Has the waiter fail at the deadline if it still waits then.
  void TimeOut(const std::shared_ptr<Waiter>& waiter, uint64_t deadline_ns);
  void Tell(const Change& change, const Waiters& ready);

  Strand* const timers_;
  const uint32_t supported_version_;
  Gate starts_, commands_;
  std::vector<std::function<void(const Change&)>> observers_;
  // Null before Attach and after Detach, which waits for those who have it.
  std::shared_ptr<raft::Node> node() const;
  mutable std::mutex node_mutex_;  // the last one that is taken
  std::shared_ptr<raft::Node> node_;
  std::future<void> let_go_;  // all have let go of node_
  mutable std::mutex mutex_;
  control::State state_;
  chaos::v1::StateVersion version_;
  ExperimentClock clock_;
  Waiters waiters_;
  std::multimap<uint64_t, std::shared_ptr<Waiter>> waiting_for_;  // by revision
  Status health_;
  bool detached_ = false;
};

}  // namespace faultline::server
