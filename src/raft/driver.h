// A member of a Raft group without threads, clock, disk and network: those are behind Host, so that
// the node (raft/node.cc) and the simulator run the same code. Keeps the core's contract
// (raft/libraft_core.h) and puts the filters in front of it.
//
// Not thread-safe; Host's methods are called from within the driver's and must not call back.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "raft/core.h"
#include "raft/entry_log.h"
#include "raft/membership.h"
#include "raft/node.h"
#include "raft/proposals.h"
#include "raft/quorum_clock.h"
#include "raft/round_trip.h"
#include "raft/types.h"
#include "raft/write_queue.h"

namespace faultline::raft {

// What an empty log begins with: term 1 and a configuration of `members`, the same on each.
LogWrite InitialLog(std::vector<Member> members);

class Driver {
 public:
  class Host {
   public:
    virtual ~Host() = default;
    // Never goes back; the same clock for all of a node's life.
    virtual uint64_t NowNs() const = 0;
    // Begins to make `write` durable; WriteDone is called when it is, never from within. One at a
    // time. When the disk refuses, WriteDone says so and the host goes on trying the same write.
    virtual void StartWrite(LogWrite write) = 0;
    // Begins to write a snapshot; SnapshotDone is called when it is durable or has failed, never
    // from within. One at a time. `image` must be destroyed elsewhere than in the driver's calls.
    virtual void StartSnapshot(pb::SnapshotMetadata metadata,
                               std::shared_ptr<const StateImage> image) = 0;
    // Begins to fetch a snapshot that `from` has offered (`wanted` is without its bytes) and to
    // load it; FetchDone is called at the end, never from within. One at a time.
    virtual void StartFetch(const Member& from, SnapshotPtr wanted) = 0;
    // May lose, repeat and reorder.
    virtual void Send(const Member& to, std::string message) = 0;
  };

  // Of `options` all but data_dir is used; seed 0 is a seed like any other here. `machine` and
  // `host` outlive the driver.
  Driver(const Options& options, StateMachine* machine, Host* host);
  ~Driver();

  // First, with the durable log, which is empty only on a node that is to join. After an error the
  // driver does nothing more. DATA_LOSS when the state machine refuses the snapshot;
  // FAILED_PRECONDITION when the log's newest configuration does not have this member, unless it is
  // to join.
  Status Start(LoadedLog log);

  void Receive(uint64_t from_id, std::string_view bytes);
  // OK: the write under way is durable. DATA_LOSS: nothing will ever be again. Else the disk is
  // full or fails: until WriteDone(OK) the member neither leads nor asks for votes, and appends
  // nothing of its own. So it does when nothing is said of a write for two seconds or more.
  void WriteDone(const Status& status);
  void SnapshotDone(const StatusOr<SnapshotPtr>& written);
  struct Fetched {
    SnapshotPtr snapshot;
    std::shared_ptr<LoadedState> state;
  };
  // FAILED_PRECONDITION: it has commands of a later version, and the member stops. Else the same is
  // fetched again from there after a second or, DATA_LOSS, since what came is damaged, after a
  // pause that grows; another one at once.
  void FetchDone(const StatusOr<Fetched>& fetched);
  // To be called at next_tick_ns(), or later.
  void Tick();
  // `deadline_ns`: of the host's clock; 0: none.
  void Propose(std::string command, Node::ProposeDone done, uint64_t deadline_ns = 0);
  void ReadBarrier(std::function<void(Status)> done);
  // Node::Change and Node::Transfer.
  void Change(MemberChange change, std::function<void(Status)> done);
  void Transfer(uint64_t to, std::function<void(Status)> done);
  // What was called since the last Pump is acted upon: batches come from several calls before it.
  void Pump();
  // Fails all that waits; nothing is done from then on.
  void Stop();

  uint64_t next_tick_ns() const;
  View view() const;
  GroupState group() const;
  // Of the newest configuration, committed or not; empty on a member without a log.
  const std::vector<Member>& members() const { return members_; }
  const Configurations& configurations() const { return configurations_; }
  // See QuorumClock::quorum_ns().
  uint64_t quorum_ns() const { return quorum_.quorum_ns(); }
  // Not OK once the node has stopped for good: the disk failed or the core gave up.
  const Status& failure() const { return failure_; }
  const CoreStatus& core_status() const { return status_; }
  const EntryLog& log() const { return log_; }
  // What a snapshot of the present state stands for.
  pb::SnapshotMetadata applied_metadata() const;
  // OK unless the disk refuses at present.
  const Status& storage_problem() const { return storage_problem_; }
  // The newest durable one; null without.
  const SnapshotPtr& snapshot() const { return snapshot_; }

 private:
  struct LeaderStamp {
    uint64_t term = 0;
    uint64_t leader_id = 0;
    uint64_t sent_ns = 0;
  };
  // Leader: a change of membership on its way.
  struct PendingChange {
    MemberChange change;
    std::function<void(Status)> done;
    bool catching_up = false;
    uint64_t index = 0;  // above 0: it stands there in the log
  };
  // Leader: a transfer on its way.
  struct PendingTransfer {
    uint64_t to = 0;
    uint64_t deadline_ns = 0;
    bool begun = false;  // the core knows of it
    std::function<void(Status)> done;
  };
  // Entries of the log as part of an AppendEntries: what one follower gets mostly goes to the
  // others too. Index and term of the last one tell all before it (log matching).
  struct EncodedRun {
    uint64_t first = 0;
    uint64_t last = 0;
    uint64_t last_term = 0;
    std::string bytes;
  };
  // What is known of another member's answers.
  struct Contact {
    uint64_t heard_ns = 0;  // of this term, as leader; 0: never
    // When it was added or got its address, 0: before the start. Answers to what was sent before
    // say nothing of that address.
    uint64_t since_ns = 0;
    RoundTrip round_trip;
  };

  Status Begin(LoadedLog log);
  uint64_t NowMs() const;
  // Each returns false when the driver has failed.
  bool Handle(StatusOr<CoreUpdate> update, std::vector<EntryPtr> entries);
  bool StepReceived(const Member& from, const pb::PeerMessage& message,
                    std::vector<EntryPtr> entries);
  void HandleRoleChange(Role before, uint64_t term_before, const CoreUpdate& update);
  void AppendToLog(uint64_t first_index, std::vector<EntryPtr> entries);

  // Who sent a message, or nobody when it is not to be looked at.
  std::optional<Member> SenderOf(uint64_t from_id, const pb::PeerMessage& message);
  void RefuseStranger(uint64_t from_id, const pb::PeerMessage& message);
  void NoteNotMember(uint64_t from_id, const pb::NotMember& message);
  void NoteAnswer(uint64_t from_id, const pb::PeerMessage& message);
  void ReceiveAppend(const Member& from, pb::PeerMessage* message);
  void ReceiveSnapshot(const Member& from, const pb::PeerMessage& message);
  bool NeedsSnapshot(const pb::SnapshotMetadata& metadata) const;
  void ReceiveQuery(const Member& from, const pb::PeerMessage& message);
  void NoteLeader(uint64_t from_id, uint64_t term, uint64_t sent_ns);

  void SendAll(std::vector<OutgoingMessage> messages);
  void SendAppend(OutgoingMessage out);
  // The entries from `first` to `last` of the log.
  const std::string& Encoded(uint64_t first, uint64_t last);
  void SendSnapshot(OutgoingMessage out);
  void Repair(const Member& to, const pb::AppendResult& rejection);
  // `more`: a further part of the message, encoded.
  void SendOut(const Member& to, const pb::PeerMessage& message, std::string_view more = {});
  void AskLeadership();
  // Leader: tells each follower at once what is committed of the entries it has, which the core
  // would leave to the next heartbeat.
  void TellCommitted();

  // The next write, when none is under way.
  void StartWrite();
  void SubmitProposals();
  // Until when the queued commands wait for more; at least one is queued.
  uint64_t GatherUntilNs() const;
  void ApplyCommitted();
  bool ApplyNext();  // false: nothing more can be applied now
  void ApplyConfiguration(uint64_t index);
  Status RestoreConfigurations(const LoadedLog& log);
  void MembersChanged();
  // Begins, continues or ends what Change and Transfer asked for.
  void AdvanceChange();
  void AdvanceTransfer();
  void SubmitBarrier();
  void SubmitChange();
  void EndChange(const Status& status);
  void EndTransfer(const Status& status);
  uint64_t BestTransferee() const;
  bool Reachable(uint64_t id) const;
  // Who is a member since `since_ns` could have answered this leader by now.
  bool HadTimeToAnswer(uint64_t since_ns) const;
  // Leader, or without one: of the slowest voter, as far as measured. Else as the leader says.
  uint64_t RoundTripUs() const;
  uint64_t Slowest(uint64_t (RoundTrip::*measure)() const) const;  // of the other voters
  std::string OwnAddress() const;
  void AdaptTimeouts();
  void TakeSnapshot();
  uint32_t TrailingFor(uint64_t snapshot_index) const;
  bool FinishInstall(const SnapshotPtr& snapshot);
  // A fetched snapshot that has not been installed goes once all it stands for is applied.
  void DropFetched();
  bool FinishTake(const SnapshotPtr& snapshot, uint32_t trailing);
  void ForgetFailedTakes();
  void PostponeFetch(const Status& error);
  // To whom leadership is being handed over, asked for or since the disk refuses; 0: to nobody.
  uint64_t Transferee() const { return transfer_ ? transfer_->to : status_.transferee; }
  // From when on the write under way counts as one that the disk refuses; there must be one.
  uint64_t WriteHangsFromNs() const;
  void WatchWrite();
  // The disk refuses, and takes again.
  void StorageFailed(const Status& status);
  void StorageWorks();
  // Why a command cannot be taken or a read not be answered now.
  Status RefusalNow() const;
  void Fail(const Status& status);
  void Abandon(const Status& status);

  const Member* FindMember(uint64_t id) const;
  std::vector<uint64_t> OtherVoters() const;

  const Options options_;
  StateMachine* const machine_;
  Host* const host_;
  std::unique_ptr<Core> core_;
  CoreStatus status_;
  Status failure_;
  EntryLog log_;
  WriteQueue writes_{0};
  uint64_t write_since_ns_ = 0;  // when the newest write was begun, and the time of applying since
  Proposals proposals_;
  QuorumClock quorum_;

  uint64_t applied_index_ = 0;
  uint64_t term_begin_index_ = 0;  // leader: reads wait for it
  uint64_t applied_term_ = 0;
  uint64_t barrier_term_ = 0;    // of the newest barrier of our own
  uint64_t leads_since_ns_ = 0;  // leader
  Configurations configurations_;
  std::vector<Member> members_;  // of the newest configuration
  std::optional<PendingChange> change_;
  std::optional<PendingTransfer> transfer_;
  std::map<uint64_t, Contact> contacts_;  // by member
  Timeouts timeouts_;                     // in force
  uint64_t leader_round_trip_us_ = 0;     // as the newest leader says
  uint64_t not_member_by_ = 0;
  uint64_t not_member_logged_ns_ = 0;
  uint64_t strangers_ = 0;  // messages refused since their senders are no members
  uint64_t stranger_logged_ns_ = 0;
  uint64_t snapshot_index_ = 0;  // newest taken, installed or loaded
  size_t bytes_since_snapshot_ = 0;
  SnapshotPtr snapshot_;
  bool taking_ = false;               // Host::StartSnapshot is under way
  uint64_t take_not_before_ns_ = 0;   // after one that failed
  size_t bytes_in_take_ = 0;          // of bytes_since_snapshot_, if it fails
  uint32_t failed_takes_ = 0;         // in a row
  std::string snapshot_problem_;      // why, once they go on
  bool fetching_ = false;             // Host::StartFetch is under way
  Member fetch_from_;                 // who offered the newest that was fetched,
  pb::PeerMessage fetch_offer_;       // and how
  Fetched fetched_;                   // waits for an offer of it
  uint64_t damaged_pause_ns_ = 0;     // after that one came damaged; 0: it has not
  uint64_t fetch_not_before_ns_ = 0;  // that one again
  std::shared_ptr<LoadedState> installing_state_;
  SnapshotPtr received_;  // handed to the core, which may ask to install it
  std::map<uint64_t, uint64_t>
      offered_;  // leader: by member, the index of the snapshot it was offered
  Status storage_problem_;
  EncodedRun encoded_;
  std::map<uint64_t, uint64_t> told_;  // leader: by member, the commit index it was told
  LeaderStamp stamp_;                  // newest from the present leader
  uint64_t vote_request_sent_ns_ = 0;  // of the request being answered
};

}  // namespace faultline::raft
