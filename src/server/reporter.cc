#include "server/reporter.h"

#include "base/clock.h"
#include "base/log.h"
#include "control/report_fit.h"
#include "control/report_parts.h"

namespace faultline::server {
namespace {

constexpr std::chrono::milliseconds kLookEvery{500};
constexpr uint64_t kProposeNs = 10 * kNanosPerSecond;
// Parts proposed at once.
constexpr size_t kMaxUnderWay = 32;

}  // namespace

void Reporter::Start() {
  strand_->PostAfter(kLookEvery, [this] { Tick(); });
}

void Reporter::Tick() {
  strand_->PostAfter(kLookEvery, [this] { Tick(); });
  const uint32_t version =
      plane_->With([](const control::State& state, const auto&) { return state.version; });
  if (version < control::kReportVersion) return;
  const bool leads = plane_->view().role == raft::Role::kLeader;
  for (auto& part : recorder_->Due(MonotonicNowNs(), leads)) {
    if (under_way_.size() >= kMaxUnderWay) return;
    if (under_way_.contains(part.experiment_id())) continue;
    control::FitVersion(version, &part);
    if (version >= control::kLeftOutVersion) control::Fit(&part);
    Record(std::move(part));
  }
}

void Reporter::Record(control::v1::RecordReport part) {
  const std::string id = part.experiment_id();
  const bool with_events = part.events_size() > 0;
  under_way_.insert(id);
  control::v1::Command command;
  *command.mutable_record_report() = std::move(part);
  leader_->Propose(
      {{}, MonotonicNowNs() + kProposeNs}, command,
      [this, id, with_events](const StatusOr<control::v1::Result>& result) {
        strand_->Post([this, id, with_events, status = result.status()] {
          under_way_.erase(id);
          const LogFields about{{"experiment_id", id}};
          // What is repeated is left out by the state machine.
          if (!status.ok()) {
            FL_LOG(debug, "the report of {} waits: {}", id, ToString(status.message()));
            return;
          }
          // Each node that measured has a part; the leader's has what happened.
          Log(with_events ? LogLevel::info : LogLevel::debug, "the report of {} is recorded", id);
          recorder_->Done(id, with_events);
        });
      });
}

}  // namespace faultline::server
