// This node's replica: the state machine over Raft, what it holds, and who is told of changes.
//
// Threads: every method may be called from any thread. Changes are told by the raft node,
// without a lock held, in order of revision; observers must not block.
#pragma once

#include <chrono>
#include <functional>
#include <future>
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

  // `timers` runs what the methods that wait say of it. Commands up to `version`
  // (control/version.h) can be applied: what needs a later one stops the node.
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

  // Calls `done` with OK as soon as revision `wanted` is applied here (by whoever applies it), with
  // DEADLINE_EXCEEDED at `deadline_ns` (CLOCK_MONOTONIC), with UNAVAILABLE after Detach. What is
  // applied costs no more for those who go on waiting.
  void WaitForRevision(uint64_t wanted, uint64_t deadline_ns, std::function<void(Status)> done);

  // The same once each of these experiments has ended here, or is not known: told at once, or on
  // the timers.
  void WaitForEnds(const std::vector<std::string>& experiment_ids, uint64_t deadline_ns,
                   std::function<void(Status)> done);

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
  // What somebody waits for first (a revision, or an experiment's created_index), and which one of
  // those who do.
  using Place = std::pair<uint64_t, uint64_t>;
  struct Waiter {
    std::vector<uint64_t> experiments;  // whose ends it waits for, ascending
    std::function<void(Status)> done;
    Place place;
  };
  using Waiters = std::vector<std::shared_ptr<Waiter>>;
  using Waiting = std::map<Place, std::shared_ptr<Waiter>>;

  Status Refusal(const control::v1::Command& command) const;
  Status CheckVersion(const control::v1::Command& command) const;
  void ProposeNow(const control::v1::Command& command, uint64_t deadline_ns, Done<Proposed> done);
  // True when the node knows the command; else it has stopped applying.
  bool Knows(const control::v1::Command& command, uint64_t index);
  // Sets the version; with the mutex held.
  void Stamp(uint64_t index, uint64_t term);
  // Has the waiter wait for what `first` says, with the mutex held: 0 for nothing.
  void Wait(Waiting* waiting, const std::shared_ptr<Waiter>& waiter, uint64_t deadline_ns,
            const std::function<uint64_t()>& first);
  // Has the waiter fail at the deadline if it still waits then.
  void TimeOut(Waiting* waiting, const std::shared_ptr<Waiter>& waiter, uint64_t deadline_ns);
  // Observers, and who waits no longer; without the mutex.
  void Tell(const Change& change, const Waiters& ready);
  // With the mutex held, as those below: takes out who waits for a revision that is reached, and
  // lets those go on who wait for one of the experiments, if it has ended.
  Waiters TakeReady(const std::set<uint64_t>& experiments);
  void GoOn(uint64_t ended, Waiters* ready);
  // Experiments that somebody waits for first.
  std::set<uint64_t> Awaited() const;
  Waiters TakeAll();

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
  Waiting waiting_for_revision_, waiting_for_end_;
  uint64_t waits_ = 0;  // that have begun
  Status health_;
  bool detached_ = false;
};

}  // namespace faultline::server
