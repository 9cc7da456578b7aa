#include "server/experiment_log.h"

#include <algorithm>

#include "base/log.h"
#include "base/phase_words.h"
#include "base/text.h"

namespace faultline::server {
namespace {

// What is new of targets in that phase, in one line however many they are.
void LogTargets(const chaos::v1::Experiment& experiment, chaos::v1::TargetPhase phase,
                const char* word, int fresh, LogLevel at) {
  if (fresh <= 0) return;
  const auto& pairs = experiment.targets();
  const auto one = std::find_if(pairs.rbegin(), pairs.rend(),
                                [phase](const auto& pair) { return pair.phase() == phase; });
  const LogFields about{{"target_id", fresh == 1 ? one->target_id() : ""}};
  Log(at, "experiment {}: {} of {} faults on targets {}: {}", experiment.experiment_id(), fresh,
      pairs.size(), word, Shown(one->reason()));
}

}  // namespace

ExperimentLog::Told ExperimentLog::Happened(const chaos::v1::Experiment& experiment,
                                            const Told& before) {
  Told now = before;
  // Agents may have reverted it before its time was said to be up.
  now.expiring |= experiment.phase() == "expiring" || experiment.phase() == "expired";
  now.lost = now.refused = 0;
  for (const auto& pair : experiment.targets()) {
    now.active |= pair.phase() == chaos::v1::TARGET_PHASE_ACTIVE;
    now.lost += pair.phase() == chaos::v1::TARGET_PHASE_LOST;
    now.refused += pair.phase() == chaos::v1::TARGET_PHASE_REFUSED;
  }
  return now;
}

void ExperimentLog::OnChange(const chaos::v1::Experiment& experiment, bool loud) {
  const std::string& id = experiment.experiment_id();
  Told& told = told_[id];
  const Told before = std::exchange(told, Happened(experiment, told));
  const LogFields about{{"experiment_id", id}, {"request_id", experiment.request_id()}};
  const auto info = loud ? LogLevel::info : LogLevel::debug;
  const auto warn = loud ? LogLevel::warn : LogLevel::debug;
  if (told.active && !before.active) Log(info, "experiment {} is active", id);
  LogTargets(experiment, chaos::v1::TARGET_PHASE_REFUSED, "refused", told.refused - before.refused,
             warn);
  LogTargets(experiment, chaos::v1::TARGET_PHASE_LOST, "lost", told.lost - before.lost, warn);
  if (told.expiring && !before.expiring) Log(info, "experiment {}: its time is up", id);
  if (!control::IsFinished(experiment)) return;
  const bool failed = experiment.status() == chaos::v1::EXPERIMENT_STATUS_FAILED;
  Log(failed ? warn : info, "experiment {} has ended: {} ({}): {}", id,
      StatusWord(experiment.status()), experiment.phase(), Shown(experiment.reason()));
  told_.erase(id);
}

void ExperimentLog::Restart(const control::State& state) {
  told_.clear();
  for (const uint64_t index : state.unfinished) {
    const auto& experiment = state.experiments.at(index).experiment();
    told_[experiment.experiment_id()] = Happened(experiment, {});
  }
}

std::function<void(const Change&)> LogExperiments(const ControlPlane* plane) {
  auto log = std::make_shared<ExperimentLog>();
  return [plane, log, first_term = uint64_t{0}](const Change& change) mutable {
    if (change.restored) {
      plane->With([&](const control::State& state, const auto&) { log->Restart(state); });
      return;
    }
    const raft::View view = plane->view();
    if (first_term == 0) first_term = view.term;
    const bool loud = view.role == raft::Role::kLeader && plane->version().term() >= first_term;
    for (const auto& experiment : change.experiments) log->OnChange(*experiment, loud);
  };
}

}  // namespace faultline::server
