#include "server/catching_up.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

namespace faultline::server {

std::string WhyBehind(const Status& status, const raft::View& view) {
  if (view.leader_id == 0) return "no leader is known";
  const auto detail = DetailOf(status);
  const bool late =
      status.code() == StatusCode::kDeadlineExceeded ||
      (detail && (detail->reason() == "NO_LEADER" || detail->reason() == "NODE_BEHIND"));
  if (!late) return ToString(status.message());
  uint64_t needed = view.commit_index;
  if (detail && detail->metadata().contains("revision")) {
    needed = std::max<uint64_t>(needed, std::stoull(detail->metadata().at("revision")));
  }
  return fmt::format("catching up with leader {}: applied {} of at least {}", view.leader_id,
                     view.applied_index, needed);
}

}  // namespace faultline::server
