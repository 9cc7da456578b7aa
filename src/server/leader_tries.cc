#include "server/leader_tries.h"

#include <string>

namespace faultline::server {

Status NoLeader(uint64_t node_id, const raft::View& view) {
  if (!view.storage_problem.empty()) {
    return MakeDetailedError(
        StatusCode::kUnavailable, "STORAGE_FAILED",
        fmt::format("node {} can store nothing at present, and knows no other that leads: {}",
                    node_id, view.storage_problem));
  }
  return MakeDetailedError(
      StatusCode::kUnavailable, "NO_LEADER",
      fmt::format("no leader: node {} finds no majority of the control plane", node_id));
}

Status NodeEnding(uint64_t node_id) {
  return MakeDetailedError(StatusCode::kUnavailable, "NODE_ENDING",
                           fmt::format("node {} has stopped or is ending", node_id));
}

LeaderTries::LeaderTries(uint64_t node_id, Effect effect)
    : node_id_(node_id), effect_(effect), last_(NoLeader(node_id, raft::View())) {}

void LeaderTries::FoundNone(const raft::View& view) {
  const std::lock_guard lock(mutex_);
  last_ = NoLeader(node_id_, view);
}

void LeaderTries::Asks() {
  const std::lock_guard lock(mutex_);
  asking_ = true;
}

void LeaderTries::Failed(uint64_t asked, const Status& status) {
  const std::string reason = ReasonOf(status), message = ToString(status.message());
  const std::lock_guard lock(mutex_);
  asking_ = false;
  // The connection was lost, or the leader its office.
  unknown_ = unknown_ || reason.empty() || reason == "LEADERSHIP_LOST";
  if (reason == "NOT_LEADER") return;  // says nothing new
  if (reason == "STORAGE_FAILED") {
    last_ = MakeDetailedError(StatusCode::kUnavailable, reason,
                              fmt::format("node {}: {}", asked, message));
    return;
  }
  last_ = MakeDetailedError(
      StatusCode::kUnavailable, "NO_LEADER",
      fmt::format("{} (node {}, asked as the leader: {})",
                  ToString(NoLeader(node_id_, raft::View()).message()), asked, message));
}

Status LeaderTries::Last() const {
  const std::lock_guard lock(mutex_);
  return last_;
}

Status LeaderTries::Refused(const Status& status) {
  {
    const std::lock_guard lock(mutex_);
    asking_ = false;
  }
  return WithOutcome(status);
}

Status LeaderTries::WithOutcome(const Status& status) const {
  const std::lock_guard lock(mutex_);
  if (effect_ == Effect::kNone || (!unknown_ && !asking_)) return status;
  Status told(
      status.code(),
      fmt::format("{}; the command was sent, and whether it is carried out is not known: {}",
                  ToString(status.message()),
                  effect_ == Effect::kChangeOnce ? "ask again with the same request id"
                                                 : "look before you ask again"));
  if (const auto detail = DetailOf(status)) AttachDetail(told, *detail);
  return told;
}

}  // namespace faultline::server
