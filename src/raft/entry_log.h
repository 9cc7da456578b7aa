// The entries of the log that are kept in memory: those not yet covered by a snapshot, and some
// before. Always equal to the core's idea of the log. Not thread-safe.
#pragma once

#include <cstdint>
#include <deque>

#include "raft/types.h"

namespace faultline::raft {

class EntryLog {
 public:
  // Index of the first entry kept, or that the next one will have.
  uint64_t first_index() const { return first_index_; }
  // One below first_index() when there is none.
  uint64_t last_index() const { return first_index_ + entries_.size() - 1; }
  size_t size_bytes() const { return size_bytes_; }

  // `index` is within first_index() and last_index().
  const EntryPtr& At(uint64_t index) const { return entries_[index - first_index_]; }

  // Begins anew, empty, with `first_index` next.
  void Reset(uint64_t first_index);
  void Append(EntryPtr entry);
  // Removes the entries from `index` on.
  void RemoveFrom(uint64_t index);
  // Removes the entries up to `index`.
  void TrimTo(uint64_t index);
  // How many of the entries up to `end`, counted back from it, are no more than `limit_bytes`.
  uint64_t CountWithin(uint64_t end, size_t limit_bytes) const;

 private:
  std::deque<EntryPtr> entries_;
  uint64_t first_index_ = 1;
  size_t size_bytes_ = 0;
};

}  // namespace faultline::raft
