// What clients ask of a leader: commands, and reads that wait for what is committed.
#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "raft/driver.h"

namespace faultline::raft {
namespace {

// Commands that come while earlier ones are on their way go together once these are committed: a
// message, a write and an answer cost a member as much for one command as for many. But none waits
// for longer than this, which is little beside the round trip between far sites.
constexpr uint64_t kGatherNs = 2 * kNanosPerMilli;

}  // namespace

Status Driver::RefusalNow() const {
  if (!storage_problem_.ok()) return StorageFailedError(storage_problem_);
  if (!failure_.ok() || status_.role != Role::kLeader) return NotLeaderError(view());
  return absl::OkStatus();
}

void Driver::Propose(std::string command, Node::ProposeDone done, uint64_t deadline_ns) {
  if (Status refusal = RefusalNow(); !refusal.ok()) return done(std::move(refusal));
  proposals_.Add(std::move(command), std::move(done), host_->NowNs(), deadline_ns);
}

void Driver::ReadBarrier(std::function<void(Status)> done) {
  if (Status refusal = RefusalNow(); !refusal.ok()) return done(std::move(refusal));
  quorum_.AddReader(host_->NowNs(), std::max(status_.commit_index, term_begin_index_),
                    std::move(done));
}

void Driver::SubmitProposals() {
  if (!proposals_.has_queued()) return;
  if (status_.role != Role::kLeader) {
    proposals_.FailQueued(NotLeaderError(view()));
    return;
  }
  if (Transferee() != 0) return;  // the next leader gets them
  if (writes_.writing() || host_->NowNs() < GatherUntilNs()) return;
  std::vector<EntryPtr> entries =
      proposals_.Submit(status_.last_index + 1, status_.term, host_->NowNs());
  if (entries.empty()) return;
  const auto count = static_cast<uint32_t>(entries.size());
  Handle(core_->Submit(NowMs(), count), std::move(entries));
}

uint64_t Driver::GatherUntilNs() const {
  if (status_.commit_index == status_.last_index) return 0;
  return proposals_.queued_since_ns() + kGatherNs;
}

}  // namespace faultline::raft
