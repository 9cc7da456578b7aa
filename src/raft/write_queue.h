// What waits to be made durable. One write is under way at a time; all that comes meanwhile becomes
// the next one (group commit). Holds back messages until the term and vote they rest on are
// durable, and knows how much of a finished write still stands in the log. Pure; not thread-safe.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "raft/node.h"
#include "raft/types.h"

namespace faultline::raft {

class WriteQueue {
 public:
  struct HeldMessage {
    Member to;
    std::string bytes;
  };
  // What a finished write allows.
  struct Finished {
    uint64_t durable_index = 0;  // highest of its entries not replaced since; 0: none
    SnapshotPtr installed;       // received from a leader
    SnapshotPtr taken;           // of our own state
    uint32_t trailing = 0;       // entries before the end of `taken` that stay
    std::vector<HeldMessage> messages;
  };

  // `last_index`: of the durable log.
  explicit WriteQueue(uint64_t last_index) : written_last_index_(last_index) {}

  void SetHardState(const HardState& state) { next_.write.hard_state = state; }
  // Replaces the log from `first_index` on, which is at most one above what was appended last.
  void Append(uint64_t first_index, const std::vector<EntryPtr>& entries);
  // Replaces the whole log.
  void Install(SnapshotPtr snapshot);
  // `trailing` entries before the snapshot's end stay.
  void TakeSnapshot(SnapshotPtr snapshot, uint32_t trailing);
  // A snapshot of ours is waiting or under way.
  bool taking() const { return next_.taken != nullptr || current_.taken != nullptr; }

  // False, and keeps the message, when it must wait for term and vote.
  bool MaySend(const Member& to, std::string* bytes);
  // MaySend would say no.
  bool holding() const { return next_.write.hard_state || current_has_hard_state_; }

  bool writing() const { return writing_; }
  // The next write, when none is under way and something waits.
  std::optional<LogWrite> StartNext();
  // The write under way is durable.
  Finished Finish();

 private:
  struct Batch {
    LogWrite write;
    uint64_t durable_index = 0;
    SnapshotPtr installed;
    SnapshotPtr taken;
    uint32_t trailing = 0;
    std::vector<HeldMessage> messages;
  };
  bool NextIsEmpty() const;

  Batch current_;
  Batch next_;
  bool writing_ = false;
  bool current_has_hard_state_ = false;
  uint64_t written_last_index_;  // highest index durable or being written
};

}  // namespace faultline::raft
