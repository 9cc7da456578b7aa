#include "raft/entry_log.h"

#include <utility>

namespace faultline::raft {
namespace {

// What an entry costs besides its data, roughly.
constexpr size_t kEntryOverheadBytes = 96;

size_t SizeOf(const EntryPtr& entry) { return entry->data().size() + kEntryOverheadBytes; }

}  // namespace

void EntryLog::Reset(uint64_t first_index) {
  entries_.clear();
  first_index_ = first_index;
  size_bytes_ = 0;
}

void EntryLog::Append(EntryPtr entry) {
  size_bytes_ += SizeOf(entry);
  entries_.push_back(std::move(entry));
}

void EntryLog::RemoveFrom(uint64_t index) {
  while (!entries_.empty() && last_index() >= index) {
    size_bytes_ -= SizeOf(entries_.back());
    entries_.pop_back();
  }
}

void EntryLog::TrimTo(uint64_t index) {
  while (!entries_.empty() && first_index_ <= index) {
    size_bytes_ -= SizeOf(entries_.front());
    entries_.pop_front();
    ++first_index_;
  }
}

uint64_t EntryLog::CountWithin(uint64_t end, size_t limit_bytes) const {
  uint64_t count = 0;
  size_t bytes = 0;
  for (uint64_t index = end; index >= first_index_ && index > 0; --index, ++count) {
    bytes += SizeOf(At(index));
    if (bytes > limit_bytes) break;
  }
  return count;
}

}  // namespace faultline::raft
