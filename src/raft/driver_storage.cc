// The driver while its disk refuses to write, or does not answer: it goes on receiving and applying
// what others commit, and behaves to the group as if its disk were slow. Nothing that was
// acknowledged rests on the write that failed; messages that rest on it are held until it has got
// through.
#include <algorithm>

#include "base/clock.h"
#include "base/log.h"
#include "raft/driver.h"

namespace faultline::raft {
namespace {

// A disk that has not answered for so long, or for two election timeouts, is taken for one that
// refuses: its leader would go on sending heartbeats, and commit nothing.
constexpr uint64_t kHangsNs = 2 * kNanosPerSecond;

}  // namespace

uint64_t Driver::WriteHangsFromNs() const {
  return write_since_ns_ + std::max<uint64_t>(kHangsNs, 2 * timeouts_.election_ms * kNanosPerMilli);
}

void Driver::WatchWrite() {
  const uint64_t now_ns = host_->NowNs();
  if (!writes_.writing() || !storage_problem_.ok() || now_ns < WriteHangsFromNs()) return;
  // The write goes on: its WriteDone comes, or it stays the one under way.
  StorageFailed(MakeError(StatusCode::kUnavailable, "the disk has not answered for {} s",
                          (now_ns - write_since_ns_) / kNanosPerSecond));
}

void Driver::StorageFailed(const Status& status) {
  const bool first = storage_problem_.ok();
  storage_problem_ = status;
  if (!first) return;
  FL_LOG(error, "raft member {} steps down: {}; reads of what it has applied go on", options_.id,
         ToString(status.message()));
  // What leads or stands for election is silent from now on (SendOut), but for asking another voter
  // to take over: a leader that hears from nobody steps down, the others elect another one.
  quorum_.End();
  proposals_.FailWaiting(LeadershipLostError());
  proposals_.FailQueued(StorageFailedError(status));
  quorum_.FailReaders(StorageFailedError(status));
  if (status_.role != Role::kLeader || Transferee() != 0) return;
  const uint64_t to = BestTransferee();
  if (to != 0) Handle(core_->Transfer(NowMs(), to), {});
}

void Driver::StorageWorks() {
  FL_LOG(info, "raft member {}: the disk takes writes again", options_.id);
  storage_problem_ = absl::OkStatus();
  if (status_.role == Role::kLeader) quorum_.Begin(OtherVoters());
}

}  // namespace faultline::raft
