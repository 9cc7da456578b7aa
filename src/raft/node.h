// One member of a Raft group: the consensus core (libraft's pure step), its durable log, its
// transport and its timers, behind propose / apply.
//
// Threads: every public method may be called from any thread. Callbacks and StateMachine methods
// run one at a time, on a thread of the node's or on one that calls Propose, ReadBarrier or Receive
// (also from within that call: hold no lock there that they take), and must not block.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "raft/meters.h"
#include "raft/state_image.h"

namespace raft::v1 {
class SnapshotMetadata;
}

namespace faultline::raft {

struct Snapshot;  // raft/types.h

// What committed commands are applied to. Deterministic: the same commands in the same order make
// the same state and results on every node. Called one at a time, but for Load.
class StateMachine {
 public:
  virtual ~StateMachine() = default;
  // Result bytes go to whoever proposed the command, on the node where it was proposed: elsewhere
  // nobody wants them, and they may be empty.
  virtual std::string Apply(uint64_t index, uint64_t term, std::string_view command,
                            bool wanted) = 0;
  // An entry without a command (a new leader's barrier, a membership change) was committed.
  virtual void Advance(uint64_t index, uint64_t term) = 0;
  // The present state, to be written out on another thread. Takes little time however much it is.
  virtual std::shared_ptr<const StateImage> Capture() = 0;
  // Reads what an image has written, to the end; does not touch the present state. On any thread.
  // DATA_LOSS when it is not a state; FAILED_PRECONDITION when it is one with commands of a later
  // version: a node that is offered it stops; the source's errors, none of which is that one.
  virtual StatusOr<std::shared_ptr<LoadedState>> Load(ByteSource& source) const = 0;
  // Puts a state of Load in the place of the present one.
  virtual void Restore(uint64_t index, uint64_t term, std::shared_ptr<LoadedState> state) = 0;
  // Not OK when the last command could not be applied, because this program does not know it: the
  // node then stops, before it would differ from the others.
  virtual Status health() const { return absl::OkStatus(); }
};

struct Member {
  uint64_t id = 0;       // above 0
  std::string address;   // host:port of the member's peer listener
  bool learner = false;  // has the log, but neither votes nor counts for the quorum
};

// One change of who belongs to the group. A member is added as a learner, and promoted to a voter
// once it has caught up.
struct MemberChange {
  enum class Kind { kAdd, kPromote, kRemove, kSetAddress };
  Kind kind = Kind::kAdd;
  uint64_t id = 0;
  std::string address;  // of kAdd and kSetAddress
};

struct Options {
  uint64_t id = 0;
  std::vector<Member> members;  // initial members, this one included; used on an empty log only
  // Instead of them: this node waits, with an empty log, until the leader of a group that has it as
  // a member sends the log.
  bool join = false;
  std::string data_dir;
  std::chrono::milliseconds election_timeout{300};
  std::chrono::milliseconds heartbeat{50};
  uint64_t seed = 0;                   // of the election timer's randomness; 0: from the system
  uint64_t snapshot_every = 8'192;     // entries applied between two snapshots
  uint64_t snapshot_trailing = 1'024;  // entries that stay in the log with a snapshot
  uint64_t snapshot_trailing_most = 65'536;  // and for a member that would else need a snapshot
};

enum class Role { kFollower, kCandidate, kLeader, kUnavailable };

// What a node knows of a member. Only the leader knows it of all; others of themselves.
struct MemberState {
  Member member;
  uint64_t match_index = 0;  // its log equals the leader's up to here
  // Since it last answered this leader; max(): never.
  std::chrono::nanoseconds last_contact = std::chrono::nanoseconds::max();
  uint64_t round_trip_us = 0;  // smoothed; 0: not measured
};

struct GroupState {
  std::vector<MemberState> members;  // of the newest configuration, by id
  uint64_t configuration_index = 0;
  bool change_pending = false;
  uint64_t transferee = 0;  // leader: to whom it hands over; 0: nobody
  // Another member said that this node is none, and knows more of the log; its id, or 0.
  uint64_t not_member_by = 0;
  uint64_t refused_strangers = 0;  // messages of nodes that are no members
  uint64_t last_index = 0;
  std::chrono::milliseconds heartbeat{0};  // in force
  std::chrono::milliseconds election_timeout{0};
};

// A moment's view; consistent in itself.
struct View {
  Role role = Role::kUnavailable;
  uint64_t term = 0;
  uint64_t leader_id = 0;  // 0: none known
  std::string leader_address;
  uint64_t commit_index = 0;
  uint64_t applied_index = 0;
  // Not empty: why this node's disk takes nothing at present. Until it does again, the node does
  // not lead, grants nothing and answers from what it has applied.
  std::string storage_problem;
  // Not empty: why this node has not been able to write a snapshot, several times in a row. It does
  // everything else, and its log grows.
  std::string snapshot_problem;
};

// Sends one opaque message to a member; lossy and unordered are allowed. Implemented over gRPC in
// raft/grpc_transport.h, and by the simulator.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual void Send(const Member& to, std::string message) = 0;

  // Who belongs to the group from now on, this node included: what is kept for others may go; one
  // that is sent to all the same is made anew. Must not block.
  virtual void SetMembers(const std::vector<Member>& /*members*/) {}

  // Gives the bytes of the snapshot `wanted` (whose own bytes are null), which `from` has offered,
  // to `sink` from `offset` on. Blocks; one at a time. OK at the end; NOT_FOUND when `from` has it
  // no longer; the sink's error; UNAVAILABLE when the connection is lost or too slow to have given
  // anything for some time: call it again with the offset that was reached. FAILED_PRECONDITION and
  // DATA_LOSS, unless of the sink, say nothing of the snapshot: they count as UNAVAILABLE.
  virtual Status FetchSnapshot(const Member& from, const Snapshot& wanted, uint64_t offset,
                               const ByteSink& sink) = 0;
  // Ends a FetchSnapshot that is under way, and each one after it, with CANCELLED.
  virtual void StopFetching() = 0;
};

class Node {
 public:
  // Result of a committed command: where it stands in the log, and what Apply returned.
  struct Committed {
    uint64_t index = 0;
    uint64_t term = 0;
    std::string result;
  };
  using ProposeDone = std::function<void(StatusOr<Committed>)>;

  // Opens or creates the log in data_dir, restores the newest snapshot, starts the timers.
  // `machine` and `transport` must outlive the node. FAILED_PRECONDITION when another process has
  // the directory; DATA_LOSS, naming file and offset, when the log is damaged before its tail or
  // the snapshot anywhere.
  static StatusOr<std::unique_ptr<Node>> Start(Options options, StateMachine* machine,
                                               Transport* transport);
  virtual ~Node() = default;

  // Leader: appends and replicates; `done` runs once, after Apply. UNAVAILABLE with reason
  // NOT_LEADER when this node does not lead, or STORAGE_FAILED when its disk is full, fails or does
  // not answer (nothing was appended in both cases); ABORTED with reason LEADERSHIP_LOST when the
  // outcome is unknown: ask again with the same request id; RESOURCE_EXHAUSTED when too much is
  // pending; DEADLINE_EXCEEDED with reason TOO_LATE, and nothing was appended, when the command
  // still waits at `deadline_ns` (CLOCK_BOOTTIME; 0: none).
  virtual void Propose(std::string command, ProposeDone done, uint64_t deadline_ns = 0) = 0;

  // Runs `done` with OK once everything committed before the call has been applied here and this
  // node was the leader backed by a quorum after the call: a linearizable read point.
  // UNAVAILABLE / NOT_LEADER otherwise.
  virtual void ReadBarrier(std::function<void(Status)> done) = 0;

  // Leader: makes one change of membership; `done` runs once, when it is committed. The new member
  // need not run yet when it is added. UNAVAILABLE / NOT_LEADER and ABORTED / LEADERSHIP_LOST as
  // of Propose; FAILED_PRECONDITION with a reason, and nothing done, when another change is under
  // way (CHANGE_PENDING), when a majority of the voters would not be reachable (QUORUM_AT_RISK),
  // when the member to be promoted does not keep up with the log (NOT_CAUGHT_UP), or when it is
  // the leader that would be removed (IS_LEADER: transfer first); else the errors of Changed() in
  // raft/membership.h.
  virtual void Change(MemberChange change, std::function<void(Status)> done) = 0;

  // Leader: hands over to voter `to` (0: to the one that is best prepared), which then leads a new
  // term without anybody waiting for a timeout. Commands wait meanwhile. OK once this node leads no
  // longer; FAILED_PRECONDITION when there is no such voter or it does not answer;
  // DEADLINE_EXCEEDED when it did not take over within an election timeout: this node still leads.
  virtual void Transfer(uint64_t to, std::function<void(Status)> done) = 0;

  // `done` gets the present state, with the view that goes with it.
  virtual void Inspect(std::function<void(const View&, const GroupState&)> done) = 0;

  // `observer` runs as callbacks do: once with the present members, then with those of each newer
  // configuration, committed or not. Set once, before traffic.
  virtual void ObserveMembers(std::function<void(const std::vector<Member>&)> observer) = 0;

  // A message from another member, as its transport's Send got it.
  virtual void Receive(uint64_t from_id, std::string message) = 0;

  // The bytes of a snapshot that this node offers, for a transport's other end: from any thread.
  // NOT_FOUND when it is neither the newest nor one that was offered shortly before.
  virtual StatusOr<std::unique_ptr<ByteSource>> ReadSnapshot(const Snapshot& wanted,
                                                             uint64_t offset) const = 0;

  // `done` gets the state as it is applied here, and what it stands for: to be written elsewhere
  // than where it is called. Index 0: nothing has been applied yet.
  using Captured =
      std::function<void(const ::raft::v1::SnapshotMetadata&, std::shared_ptr<const StateImage>)>;
  virtual void Capture(Captured done) = 0;

  virtual View GetView() const = 0;

  // Any thread; outlives no node.
  virtual const Meters& meters() const = 0;

  // Leader: how long ago, at least, a quorum (itself included) last acknowledged it as leader:
  // measured from when the acknowledged message was sent. Zero for a single node. Not leading:
  // nanoseconds::max().
  virtual std::chrono::nanoseconds QuorumAge() const = 0;

  // `observer` runs as callbacks do: once with the present view, then whenever role, term or leader
  // change. Set once, before traffic.
  virtual void ObserveView(std::function<void(const View&)> observer) = 0;
};

}  // namespace faultline::raft
