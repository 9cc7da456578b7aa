// The consensus core as a value machine: event in, update out. No I/O, no clock, no threads.
// libraft underneath (raft/libraft_core.h tells the contract that raft/driver.h keeps).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "raft/node.h"
#include "raft/types.h"

struct fl_raft;
struct fl_raft_update;

namespace faultline::raft {

// A message to be completed and sent: entries (entry_count of them from prev_index + 1) or the
// snapshot are added by the driver.
struct OutgoingMessage {
  Member to;
  pb::PeerMessage message;
  uint32_t entry_count = 0;
};

struct CoreUpdate {
  bool hard_state = false;     // term or vote changed
  uint64_t entries_index = 0;  // above 0: the log is replaced from here on...
  uint32_t entry_count = 0;    // ...by the last so many entries of the event, or
  bool barrier = false;        // ...by one barrier of the present term
  bool install_snapshot = false;
  std::vector<OutgoingMessage> messages;
};

struct CoreStatus {
  Role role = Role::kFollower;
  bool in_pre_vote = false;
  bool installing = false;  // a received snapshot is being made durable
  uint64_t term = 0;
  uint64_t voted_for = 0;
  uint64_t leader_id = 0;  // 0: none known
  std::string leader_address;
  uint64_t commit_index = 0;
  uint64_t last_index = 0;
  uint64_t last_stored = 0;
  uint64_t offset = 0;  // entries up to here are no longer in the log
  uint64_t snapshot_index = 0;
  uint64_t snapshot_term = 0;
  uint64_t timeout_ms = 0;  // when Timeout is due
  uint64_t transferee = 0;  // leader: to whom it hands over; nothing may be submitted. 0: nobody
  bool promoting = false;   // leader: a member is catching up
};

struct CoreOptions {
  uint64_t id = 0;
  std::string address;
  uint32_t seed = 0;
  uint32_t election_timeout_ms = 0;
  uint32_t heartbeat_ms = 0;
};

enum class CatchUpState { kNone, kRunning, kAborted, kFinished };

class Core {
 public:
  explicit Core(const CoreOptions& options);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // Each is one step. INTERNAL: the core is unusable from then on, except after Submit.
  StatusOr<CoreUpdate> Start(uint64_t now_ms, const LoadedLog& log);
  // `message` is well-formed and has passed raft/filters.h; `from.address` may be empty; `entries`
  // are its AppendEntries', which it need not have itself.
  StatusOr<CoreUpdate> Receive(uint64_t now_ms, const Member& from, const pb::PeerMessage& message,
                               const std::vector<EntryPtr>& entries);
  StatusOr<CoreUpdate> Submit(uint64_t now_ms, uint32_t command_count);
  // Leader: a change of membership; conditions in raft/libraft_core.h.
  StatusOr<CoreUpdate> SubmitConfiguration(uint64_t now_ms, const pb::Configuration& configuration);
  StatusOr<CoreUpdate> CatchUp(uint64_t now_ms, uint64_t id);
  StatusOr<CoreUpdate> Transfer(uint64_t now_ms, uint64_t id);
  StatusOr<CoreUpdate> PersistedEntries(uint64_t now_ms, uint64_t index);
  StatusOr<CoreUpdate> PersistedSnapshot(uint64_t now_ms, const pb::SnapshotMetadata& snapshot);
  StatusOr<CoreUpdate> TookSnapshot(uint64_t now_ms, const pb::SnapshotMetadata& snapshot,
                                    uint32_t trailing);
  StatusOr<CoreUpdate> CommittedConfiguration(uint64_t now_ms, uint64_t index,
                                              const pb::Configuration& configuration);
  StatusOr<CoreUpdate> Timeout(uint64_t now_ms);

  // From now on; a timer that runs continues.
  void SetTimeouts(uint32_t election_timeout_ms, uint32_t heartbeat_ms);

  CoreStatus GetStatus() const;
  // Leader: how far the log of member `id` is known to equal ours; else 0.
  uint64_t MatchIndex(uint64_t id) const;
  CatchUpState GetCatchUpState(uint64_t id) const;

 private:
  struct Deleter {
    void operator()(fl_raft* raft) const;
  };
  StatusOr<CoreUpdate> Result(int code, const fl_raft_update& update) const;

  std::unique_ptr<fl_raft, Deleter> raft_;
};

}  // namespace faultline::raft
