// Values that pass between the parts of src/raft. Entries and snapshots are shared and immutable.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "raft/snapshot_codec.h"
#include "raft/v1/message.pb.h"

namespace faultline::raft {

using EntryPtr = std::shared_ptr<const pb::Entry>;

struct HardState {
  uint64_t term = 0;
  uint64_t voted_for = 0;  // 0: nobody in this term
};

// Where a snapshot's bytes are. Thread-safe.
class SnapshotBytes {
 public:
  virtual ~SnapshotBytes() = default;
  // From `offset` on; readable as long as this object lives, and at the same time by several.
  virtual StatusOr<std::unique_ptr<ByteSource>> Read(uint64_t offset) const = 0;
  // For messages: the file's path.
  virtual const std::string& name() const = 0;
};

struct Snapshot {
  pb::SnapshotMetadata metadata;
  SnapshotSum sum;
  std::shared_ptr<const SnapshotBytes> bytes;  // null: elsewhere
};
using SnapshotPtr = std::shared_ptr<const Snapshot>;

// What is made durable together, done in this order.
struct LogWrite {
  std::optional<HardState> hard_state;
  bool clear_log = false;    // a received snapshot takes the place of all entries
  uint64_t remove_from = 0;  // above 0: entries from here on are removed
  uint64_t first_index = 0;  // of `entries`
  std::vector<EntryPtr> entries;
  SnapshotPtr snapshot;  // takes the place of the one before
  uint64_t trim_to = 0;  // entries up to here are removed
};

// What is durable. Entries are contiguous from first_index, which is at most one above the
// snapshot's last index (1 without a snapshot).
struct LoadedLog {
  HardState hard_state;
  SnapshotPtr snapshot;  // null: none
  uint64_t first_index = 1;
  std::vector<EntryPtr> entries;
  // Nothing was ever written.
  bool empty() const { return hard_state.term == 0; }
};

}  // namespace faultline::raft
