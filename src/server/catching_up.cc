#include "server/catching_up.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

namespace faultline::server {

std::string WhyNotReady(const raft::View& view) {
  if (view.role == raft::Role::kUnavailable) return "the node has stopped, or not begun";
  if (!view.storage_problem.empty()) return "the disk refuses: " + view.storage_problem;
  if (view.leader_id == 0) return "no leader is known";
  return {};
}

std::string WhyBehind(const Status& status, uint64_t asked, const raft::View& view) {
  const auto detail = DetailOf(status);
  const bool behind = detail && detail->reason() == "NODE_BEHIND";
  const uint64_t leader = view.leader_id == 0 && behind ? asked : view.leader_id;
  if (leader == 0) return "no leader is known";
  const bool late = behind || status.code() == StatusCode::kDeadlineExceeded ||
                    (detail && detail->reason() == "NO_LEADER");
  if (!late) return ToString(status.message());
  uint64_t needed = view.commit_index;
  if (detail && detail->metadata().contains("revision")) {
    needed = std::max<uint64_t>(needed, std::stoull(detail->metadata().at("revision")));
  }
  return fmt::format("catching up with leader {}: applied {} of at least {}", leader,
                     view.applied_index, needed);
}

}  // namespace faultline::server
