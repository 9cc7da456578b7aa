#include "raft/write_queue.h"

#include <algorithm>

namespace faultline::raft {

void WriteQueue::Append(uint64_t first_index, const std::vector<EntryPtr>& entries) {
  // Entries of the write under way that are replaced now will not stand when it is done, even if
  // equal ones come back later: the write after it removes them first.
  current_.durable_index = std::min(current_.durable_index, first_index - 1);
  LogWrite& write = next_.write;
  if (first_index <= written_last_index_) {
    write.remove_from =
        write.remove_from == 0 ? first_index : std::min(write.remove_from, first_index);
    written_last_index_ = first_index - 1;
  }
  if (write.entries.empty() || first_index <= write.first_index) {
    write.entries.clear();
    write.first_index = first_index;
  } else {
    write.entries.resize(first_index - write.first_index);
  }
  write.entries.insert(write.entries.end(), entries.begin(), entries.end());
}

void WriteQueue::Install(SnapshotPtr snapshot) {
  current_.durable_index = 0;
  LogWrite& write = next_.write;
  write.clear_log = true;
  write.remove_from = 0;
  write.entries.clear();
  write.trim_to = 0;
  write.snapshot = snapshot;
  next_.taken = nullptr;
  written_last_index_ = snapshot->metadata.last_index();
  next_.installed = std::move(snapshot);
}

void WriteQueue::TakeSnapshot(SnapshotPtr snapshot, uint32_t trailing) {
  const uint64_t last_index = snapshot->metadata.last_index();
  next_.write.trim_to = last_index > trailing ? last_index - trailing : 0;
  next_.write.snapshot = snapshot;
  next_.trailing = trailing;
  next_.taken = std::move(snapshot);
}

bool WriteQueue::MaySend(const Member& to, std::string* bytes) {
  if (next_.write.hard_state) {
    next_.messages.push_back({to, std::move(*bytes)});
    return false;
  }
  if (current_has_hard_state_) {
    current_.messages.push_back({to, std::move(*bytes)});
    return false;
  }
  return true;
}

bool WriteQueue::NextIsEmpty() const {
  const LogWrite& write = next_.write;
  return !write.hard_state && !write.clear_log && write.entries.empty() && !write.snapshot;
}

std::optional<LogWrite> WriteQueue::StartNext() {
  if (writing_ || NextIsEmpty()) return std::nullopt;
  writing_ = true;
  current_ = std::exchange(next_, {});
  LogWrite write = std::exchange(current_.write, {});
  current_has_hard_state_ = write.hard_state.has_value();
  if (!write.entries.empty()) {
    current_.durable_index = write.first_index + write.entries.size() - 1;
    written_last_index_ = current_.durable_index;
  }
  return write;
}

WriteQueue::Finished WriteQueue::Finish() {
  writing_ = false;
  current_has_hard_state_ = false;
  Batch done = std::exchange(current_, {});
  return {done.durable_index, std::move(done.installed), std::move(done.taken), done.trailing,
          std::move(done.messages)};
}

}  // namespace faultline::raft
