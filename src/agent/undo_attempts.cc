// How the undo journal undoes.
#include <thread>

#include "agent/undo_journal.h"
#include "base/log.h"

namespace faultline::agent {
namespace {

constexpr std::chrono::milliseconds kPause{100};

}  // namespace

void UndoJournal::Leave(uint64_t handle, const Status& why) {
  const std::string reason = ToString(why.message());
  const auto found = deeds_.find(handle);
  if (found == deeds_.end()) return FL_LOG(error, "cannot be undone: {}", reason);
  Deed& deed = found->second;
  if (std::exchange(deed.left, reason) == reason) return;
  FL_LOG(error, "cannot be undone, and is tried again: '{}' ({}): {}", deed.kind,
         fmt::join(deed.arguments, " "), reason);
}

bool UndoJournal::IsLeft(uint64_t handle) const {
  const auto found = deeds_.find(handle);
  return found != deeds_.end() && found->second.left;
}

std::optional<faults::UndoLog::Left> UndoJournal::Reclaim(
    const std::string& kind, const std::function<bool(const std::vector<std::string>&)>& same) {
  for (auto& [handle, deed] : deeds_) {
    if (!deed.left || deed.kind != kind || !same(deed.arguments)) continue;
    deed.left.reset();
    return Left{handle, deed.arguments};
  }
  return std::nullopt;
}

Status UndoJournal::Undo(const UndoFunction& undo, bool only_left) {
  Status first;
  size_t undone = 0;
  std::vector<uint64_t> handles;
  for (const auto& [handle, deed] : deeds_) {
    if (!only_left || deed.left) handles.push_back(handle);
  }
  for (auto handle = handles.rbegin(); handle != handles.rend(); ++handle) {
    const Deed& deed = deeds_.at(*handle);
    const Status status = undo(deed.kind, deed.arguments);
    if (status.ok()) ++undone;
    Finish(*handle, status);
    if (first.ok()) first = status;
  }
  if (undone > 0)
    FL_LOG(info, "{} of {} records of the undo journal are undone", undone, handles.size());
  return first;
}

Status UndoJournal::UndoAll(const UndoFunction& undo, std::chrono::milliseconds patience) {
  const auto until = std::chrono::steady_clock::now() + patience;
  Status undone = Undo(undo, /*only_left=*/false);
  for (bool again = patience.count() > 0; again && !undone.ok();) {
    again = std::chrono::steady_clock::now() < until;  // once more after it
    std::this_thread::sleep_for(kPause);
    undone = Undo(undo, /*only_left=*/true);
  }
  return undone;
}

void UndoJournal::TryLeft(const UndoFunction& undo) {
  Undo(undo, /*only_left=*/true).IgnoreError();  // Leave has told
}

std::vector<std::string> UndoJournal::left() const {
  std::vector<std::string> sentences;
  for (const auto& [handle, deed] : deeds_) {
    if (deed.left) sentences.push_back(*deed.left);
  }
  return sentences;
}

}  // namespace faultline::agent
