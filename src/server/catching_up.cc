#include "server/catching_up.h"

#include <fmt/format.h>

namespace faultline::server {

std::string WhyBehind(const Status& status, const raft::View& view) {
  if (view.leader_id == 0) return "no leader is known";
  const auto detail = DetailOf(status);
  const bool late =
      status.code() == StatusCode::kDeadlineExceeded ||
      (detail && (detail->reason() == "NO_LEADER" || detail->reason() == "NODE_BEHIND"));
  if (!late) return ToString(status.message());
  return fmt::format("catching up with leader {}: applied {} of at least {}", view.leader_id,
                     view.applied_index, view.commit_index);
}

}  // namespace faultline::server
