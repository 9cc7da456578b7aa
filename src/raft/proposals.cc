#include "raft/proposals.h"

#include <utility>

namespace faultline::raft {

Status NotLeaderError(const View& view) {
  std::map<std::string, std::string> metadata;
  std::string message = "this node does not lead";
  if (view.leader_id != 0 && view.role != Role::kLeader) {
    metadata = {{"leader_id", std::to_string(view.leader_id)},
                {"leader_address", view.leader_address}};
    message += fmt::format("; node {} does", view.leader_id);
  }
  return MakeDetailedError(StatusCode::kUnavailable, "NOT_LEADER", message, std::move(metadata));
}

Status StorageFailedError(const Status& problem) {
  return MakeDetailedError(
      StatusCode::kUnavailable, "STORAGE_FAILED",
      fmt::format("this node can store nothing at present: {}", ToString(problem.message())));
}

Status LeadershipLostError() {
  return MakeDetailedError(
      StatusCode::kAborted, "LEADERSHIP_LOST",
      "this node lost leadership before the outcome was known; ask again with the same request id");
}

Status TooLateError() {
  return MakeDetailedError(StatusCode::kDeadlineExceeded, "TOO_LATE",
                           "the call's time was over before it was begun: nothing was done");
}

void Proposals::Add(std::string command, Node::ProposeDone done, uint64_t now_ns,
                    uint64_t deadline_ns) {
  if (queued_.size() + waiting_.size() >= kMaxCount || bytes_ + command.size() > kMaxBytes) {
    done(MakeDetailedError(StatusCode::kResourceExhausted, "TOO_MANY_PENDING",
                           "too many commands wait for the cluster; try again later"));
    return;
  }
  bytes_ += command.size();
  queued_.push_back({std::move(command), std::move(done), now_ns, deadline_ns});
}

std::vector<EntryPtr> Proposals::Submit(uint64_t first_index, uint64_t term, uint64_t now_ns) {
  std::vector<EntryPtr> entries;
  entries.reserve(queued_.size());
  for (Queued& queued : std::exchange(queued_, {})) {
    if (queued.deadline_ns != 0 && now_ns >= queued.deadline_ns) {
      bytes_ -= queued.command.size();
      queued.done(TooLateError());
      continue;
    }
    waiting_.push_back(
        {first_index + entries.size(), queued.command.size(), std::move(queued.done)});
    auto entry = std::make_shared<pb::Entry>();
    entry->set_term(term);
    entry->set_type(pb::ENTRY_TYPE_COMMAND);
    entry->set_data(std::move(queued.command));
    entries.push_back(std::move(entry));
  }
  return entries;
}

void Proposals::Applied(uint64_t index, uint64_t term, std::string result) {
  if (!WaitFor(index)) return;
  Waiting waiting = std::move(waiting_.front());
  waiting_.pop_front();
  bytes_ -= waiting.size_bytes;
  waiting.done(Node::Committed{index, term, std::move(result)});
}

void Proposals::FailQueued(const Status& status) {
  for (Queued& queued : std::exchange(queued_, {})) {
    bytes_ -= queued.command.size();
    queued.done(status);
  }
}

void Proposals::FailWaiting(const Status& status) {
  for (Waiting& waiting : std::exchange(waiting_, {})) {
    bytes_ -= waiting.size_bytes;
    waiting.done(status);
  }
}

}  // namespace faultline::raft
