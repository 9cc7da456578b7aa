// The snapshots that a member offers to others: the newest, and older ones for as long as somebody
// goes on fetching them. Thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>

#include "raft/types.h"

namespace faultline::raft {

class SnapshotShelf {
 public:
  // An older one stays for so long after it was asked for last, and only so many.
  static constexpr uint64_t kKeepNs = 120'000'000'000;
  static constexpr size_t kMostOlder = 3;

  // The newest from now on; null is ignored.
  void Put(const SnapshotPtr& snapshot, uint64_t now_ns);
  // NOT_FOUND when it is not here (any more).
  StatusOr<std::unique_ptr<ByteSource>> Read(const Snapshot& wanted, uint64_t offset,
                                             uint64_t now_ns) const;

 private:
  struct Item {
    SnapshotPtr snapshot;
    uint64_t asked_ns = 0;  // 0: never
  };

  mutable std::mutex mutex_;
  mutable std::deque<Item> items_;  // newest last
};

}  // namespace faultline::raft
