#include "raft/snapshot_shelf.h"

#include <algorithm>

namespace faultline::raft {

void SnapshotShelf::Put(const SnapshotPtr& snapshot, uint64_t now_ns) {
  const std::lock_guard lock(mutex_);
  if (!snapshot || (!items_.empty() && items_.back().snapshot == snapshot)) return;
  std::erase_if(items_, [now_ns](const Item& item) {
    return item.asked_ns == 0 || item.asked_ns + kKeepNs < now_ns;
  });
  while (items_.size() > kMostOlder) items_.pop_front();
  items_.push_back({snapshot});
}

StatusOr<std::unique_ptr<ByteSource>> SnapshotShelf::Read(const Snapshot& wanted, uint64_t offset,
                                                          uint64_t now_ns) const {
  SnapshotPtr found;
  {
    const std::lock_guard lock(mutex_);
    for (Item& item : items_) {
      if (item.snapshot->metadata.last_index() != wanted.metadata.last_index() ||
          item.snapshot->sum != wanted.sum) {
        continue;
      }
      item.asked_ns = now_ns;
      found = item.snapshot;
    }
  }
  if (!found) {
    return MakeError(StatusCode::kNotFound, "the snapshot at {} is not offered (any more)",
                     wanted.metadata.last_index());
  }
  return found->bytes->Read(offset);
}

}  // namespace faultline::raft
