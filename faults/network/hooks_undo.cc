// Hooks whose programs cannot be taken off.
#include <algorithm>

#include "faults/network/hooks.h"

namespace faultline::network {

void Hooks::RecordUndo(unsigned index, bpf::AttachRequest* request) {
  const auto filter = std::make_shared<uint64_t>();
  request->record_undo = [this, filter](const std::string& kind,
                                        const std::vector<std::string>& args) {
    auto handle = undo_->Record(kind, args);
    if (handle.ok() && kind == bpf::kUndoTcFilter) *filter = *handle;
    return handle;
  };
  request->finish_undo = [this, index, filter](uint64_t handle, const Status& undone) {
    // The qdisc goes once nothing is on it.
    const bool in_use = handle != *filter && undone.ok() && IsHaunted(index);
    const Status kept =
        MakeError(StatusCode::kFailedPrecondition, "clsact stays while our filter is on it");
    undo_->Finish(handle, in_use ? kept : undone);
    if (handle == *filter && !undone.ok()) haunted_[handle] = index;
  };
}

bool Hooks::IsHaunted(unsigned index) const {
  return std::ranges::any_of(haunted_, [&](const auto& left) { return left.second == index; });
}

void Hooks::ForgetUndone() {
  std::erase_if(haunted_, [&](const auto& left) { return !undo_->IsLeft(left.first); });
}

}  // namespace faultline::network
