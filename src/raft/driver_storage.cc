// The driver while its disk refuses to write: it goes on receiving and applying what others commit,
// and behaves to the group as if its disk were slow. Nothing that was acknowledged rests on the
// write that failed; messages that rest on it are held until it has got through.
#include "base/log.h"
#include "raft/driver.h"

namespace faultline::raft {

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
  const uint64_t to = status_.role == Role::kLeader && !transfer_ ? BestTransferee() : 0;
  if (to != 0) Handle(core_->Transfer(NowMs(), to), {});
}

void Driver::StorageWorks() {
  FL_LOG(info, "raft member {}: the disk takes writes again", options_.id);
  storage_problem_ = absl::OkStatus();
  if (status_.role == Role::kLeader) quorum_.Begin(OtherVoters());
}

}  // namespace faultline::raft
