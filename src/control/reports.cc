#include "control/reports.h"

#include <map>
#include <tuple>

namespace faultline::control {

using chaos::v1::FaultReport;
using chaos::v1::TargetPhase;

namespace {

// Agents say that a fault waits for its target.
constexpr uint32_t kWaitingVersion = 7;

}  // namespace

bool ChangesPair(const chaos::v1::FaultTarget& pair, const v1::ExperimentRecord& record,
                 const FaultReport& report, uint32_t version) {
  if (HasEnded(pair.phase())) return false;
  switch (report.phase()) {
    case TargetPhase::TARGET_PHASE_REVERTED:
    case TargetPhase::TARGET_PHASE_REFUSED:
      return true;
    case TargetPhase::TARGET_PHASE_ACTIVE:
      // Active at last although its end was asked for: it will not stay, but it was.
      if (pair.phase() == TargetPhase::TARGET_PHASE_REVERTING) return !record.was_active();
      return pair.phase() == TargetPhase::TARGET_PHASE_PENDING;
    case TargetPhase::TARGET_PHASE_PENDING:
      if (version < kWaitingVersion || pair.phase() == TargetPhase::TARGET_PHASE_REVERTING) {
        return false;
      }
      return pair.phase() != report.phase() || pair.reason() != report.reason();
    default:
      return false;
  }
}

std::vector<FaultReport> NewReports(const State& state, const std::string& agent_id,
                                    const chaos::v1::FaultReports& reports) {
  using Key = std::tuple<std::string, uint32_t, std::string>;
  std::map<Key, const FaultReport*> reported;
  for (const auto& report : reports.reports()) {
    reported[{report.experiment_id(), report.fault_index(), report.target_id()}] = &report;
  }
  std::vector<FaultReport> news;
  for (const uint64_t index : UnfinishedOfAgent(state, agent_id)) {
    const auto& record = state.experiments.at(index);
    const auto& experiment = record.experiment();
    for (const auto& pair : experiment.targets()) {
      if (pair.agent_id() != agent_id) continue;
      const auto found =
          reported.find({experiment.experiment_id(), pair.fault_index(), pair.target_id()});
      if (found != reported.end()) {
        if (ChangesPair(pair, record, *found->second, state.version))
          news.push_back(*found->second);
        continue;
      }
      const bool knows_of_the_end = reports.version().cluster_id() == state.cluster_id &&
                                    reports.version().revision() >= record.end_index();
      if (pair.phase() != TargetPhase::TARGET_PHASE_REVERTING || !knows_of_the_end) continue;
      FaultReport absent;
      absent.set_experiment_id(experiment.experiment_id());
      absent.set_fault_index(pair.fault_index());
      absent.set_target_id(pair.target_id());
      absent.set_phase(TargetPhase::TARGET_PHASE_REVERTED);
      news.push_back(std::move(absent));
    }
  }
  return news;
}

}  // namespace faultline::control
