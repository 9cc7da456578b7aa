#include "bpf/undo_words.h"

namespace faultline::bpf {

Status DamagedWords() {
  return MakeError(StatusCode::kInvalidArgument, "arguments of an undo record are damaged");
}

Status InNetnsIfThere(const std::string& netns, const NetnsId& id,
                      const std::function<Status()>& work) {
  const auto netns_fd = FindNetns(netns, id);
  if (netns_fd.status().code() == StatusCode::kNotFound) return absl::OkStatus();
  FL_RETURN_IF_ERROR(netns_fd.status());
  return InNetns(*netns_fd, work);
}

}  // namespace faultline::bpf
