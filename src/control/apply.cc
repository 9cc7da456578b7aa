#include "control/apply.h"

#include <google/protobuf/util/time_util.h>

#include <algorithm>

#include "control/admission.h"
#include "control/lifecycle.h"
#include "control/report_parts.h"
#include "control/reports.h"
#include "control/stop_answer.h"
#include "control/webhook_events.h"

namespace faultline::control {
namespace {

using chaos::v1::TargetPhase;
using google::protobuf::util::TimeUtil;

// One command's application: the state, when, and what has changed so far.
struct Step {
  State& state;
  Moment moment;
  Outcome& outcome;
  bool wanted;  // the result

  void Answer(const v1::ExperimentRecord& record) {
    if (wanted) *outcome.result.add_experiments() = record.experiment();
  }

  // After an experiment's pairs changed.
  void Finish(v1::ExperimentRecord* record) {
    state.Update(record, [&] { Conclude(record, moment); });
    Tell(*record);
  }
  void Tell(const v1::ExperimentRecord& record) {
    outcome.experiments.insert(record.created_index());
    for (const auto& pair : record.experiment().targets()) outcome.agents.insert(pair.agent_id());
  }

  // Calls change(pair, its position, record) for each pair of the agent's that has not ended; what
  // it says true to has changed.
  template <typename Change>
  void ForPairsOf(const std::string& agent_id, Change change) {
    const std::set<uint64_t> unfinished = UnfinishedOfAgent(state, agent_id);
    for (const uint64_t index : unfinished) {
      auto& record = state.experiments.Mutable(index);
      bool changed = false;
      for (int i = 0; i < record.experiment().targets_size(); ++i) {
        auto* pair = record.mutable_experiment()->mutable_targets(i);
        if (pair->agent_id() != agent_id || HasEnded(pair->phase())) continue;
        changed |= change(pair, i, record);
      }
      if (changed) Finish(&record);
    }
  }
};

// Takes what it keeps out of the command.
Status Create(Step step, v1::CreateExperiment& command) {
  FL_ASSIGN_OR_RETURN(const Admission admission, Admit(step.state, command));
  if (admission.repeated != nullptr) {
    step.Answer(*admission.repeated);
    return absl::OkStatus();
  }
  v1::ExperimentRecord record;
  record.set_created_index(step.moment.index);
  record.mutable_request_body()->swap(*command.mutable_request_body());
  auto* experiment = record.mutable_experiment();
  experiment->set_experiment_id(fmt::format("exp-{}", step.moment.index));
  experiment->set_target(command.target());
  experiment->set_seed(command.seed());
  experiment->set_created_by(command.created_by());
  experiment->set_request_id(command.request_id());
  *experiment->mutable_duration() = TimeUtil::MillisecondsToDuration(command.duration_ms());
  *experiment->mutable_created_at() = ToTimestamp(step.moment.unix_ms);
  *experiment->mutable_ends_at() = ToTimestamp(step.moment.unix_ms + command.duration_ms());
  for (int i = 0; i < command.faults_size(); ++i) {
    *experiment->add_faults() = command.faults(i).fault();
    for (const auto* target : admission.targets) {
      auto* pair = experiment->add_targets();
      pair->set_fault_index(static_cast<uint32_t>(i));
      pair->set_target_id(target->target_id());
      pair->set_agent_id(target->agent_id());
      const int64_t granted_ms = LeaseMs(step.state.agents.at(target->agent_id()));
      *pair->mutable_lease() =
          TimeUtil::MillisecondsToDuration(std::max(command.lease_ms(), granted_ms));
      SetPhase(pair, TargetPhase::TARGET_PHASE_PENDING, "", step.moment);
    }
  }
  record.mutable_faults()->Swap(command.mutable_faults());
  Conclude(&record, step.moment);
  step.Tell(record);
  step.Answer(record);
  step.state.Insert(std::move(record));
  return absl::OkStatus();
}

Status Stop(Step step, const v1::StopExperiments& command) {
  auto indices = command.all() ? step.state.unfinished : std::set<uint64_t>();
  for (const std::string& id : command.experiment_ids()) {
    const auto* record = step.state.Find(id);
    if (record == nullptr) {
      return FieldError("experiment_id", id, "the id of an experiment", "EXPERIMENT_NOT_FOUND",
                        StatusCode::kNotFound);
    }
    indices.insert(record->created_index());
  }
  const std::string reason = command.reason().empty()
                                 ? fmt::format("stopped by {}", command.stopped_by())
                                 : command.reason();
  StopAnswer answer(step.outcome.result.mutable_experiments());
  for (const uint64_t index : indices) {
    auto& record = step.state.experiments.Mutable(index);
    if (step.state.unfinished.contains(index) && record.end_cause() == v1::END_CAUSE_UNSPECIFIED) {
      BeginEnd(&record, v1::END_CAUSE_STOPPED, reason, step.moment);
      step.Finish(&record);
    }
    if (step.wanted) answer.Add(record.experiment());
  }
  return absl::OkStatus();
}

void Register(Step step, const v1::RegisterAgent& command) {
  const std::string& id = command.agent().agent_id();
  auto& agent = step.state.agents[id];
  const bool restarted =
      agent.incarnation() != 0 && agent.incarnation() != command.agent().incarnation();
  // What another node has granted to this start of it may not have run out yet.
  const int64_t granted_ms = restarted ? 0 : LeaseMs(agent);
  agent = command.agent();
  if (LeaseMs(agent) < granted_ms) {
    *agent.mutable_lease() = TimeUtil::MillisecondsToDuration(granted_ms);
  }
  agent.set_connected(true);
  *agent.mutable_last_seen() = ToTimestamp(step.moment.unix_ms);
  for (auto& target : *agent.mutable_targets()) target.set_agent_id(id);
  step.outcome.agents.insert(id);
  step.ForPairsOf(id, [&](auto* pair, int, auto&) {
    bool changed = TimeUtil::DurationToMilliseconds(pair->lease()) < LeaseMs(agent);
    if (changed) *pair->mutable_lease() = agent.lease();
    // The old process took its faults with it: what is desired is to be armed again. What is to be
    // reverted is reverted when the agent says so: this may be an old registration that comes late,
    // beside a process that has armed it.
    if (restarted && pair->phase() != TargetPhase::TARGET_PHASE_REVERTING) {
      const char* reason = "the agent was restarted";
      changed |= SetPhase(pair, TargetPhase::TARGET_PHASE_PENDING, reason, step.moment);
    }
    return changed;
  });
}

bool IsPresent(const State& state, const std::string& agent_id, uint64_t incarnation) {
  const auto found = state.agents.find(agent_id);
  return found != state.agents.end() && found->second.incarnation() == incarnation;
}

void Disconnect(Step step, const v1::AgentDisconnected& command) {
  if (!IsPresent(step.state, command.agent_id(), command.incarnation())) return;
  const auto& known = step.state.agents.at(command.agent_id());
  if (!known.connected() || known.node_id() != command.node_id()) return;
  auto& agent = step.state.agents.Mutable(command.agent_id());
  agent.set_connected(false);
  *agent.mutable_last_seen() = ToTimestamp(step.moment.unix_ms);
  step.outcome.agents.insert(command.agent_id());
}

void Report(Step step, const v1::ReportFaults& command) {
  if (!IsPresent(step.state, command.agent_id(), command.incarnation())) return;
  for (const auto& report : command.reports()) {
    auto* record = step.state.Find(report.experiment_id());
    if (record == nullptr || IsFinished(record->experiment())) continue;
    for (int i = 0; i < record->experiment().targets_size(); ++i) {
      const auto& pair = record->experiment().targets(i);
      const bool meant = pair.agent_id() == command.agent_id() &&
                         pair.target_id() == report.target_id() &&
                         pair.fault_index() == report.fault_index();
      if (!meant || !ChangesPair(pair, *record, report, step.moment.version)) continue;
      TakeReport(report, i, record, step.moment);
      step.Finish(record);
      break;
    }
  }
}

void Lose(Step step, const v1::AgentLost& command) {
  if (!IsPresent(step.state, command.agent_id(), command.incarnation())) return;
  step.ForPairsOf(command.agent_id(), [&](auto* pair, int position, auto& record) {
    AddNotice(&record, chaos::v1::WEBHOOK_EVENT_TYPE_LOST_TARGET, step.moment, position);
    return SetPhase(pair, TargetPhase::TARGET_PHASE_LOST,
                    "the agent is gone, and every lease it can hold has run out", step.moment);
  });
}

void ForgetAgents(Step step) {
  for (const std::string& id : AgentsToForget(step.state, step.moment.unix_ms)) {
    step.outcome.agents.insert(id);
    step.state.agents.erase(id);
  }
}

void ExpireAll(Step step) {
  std::set<uint64_t> over;
  for (const auto& [ends_ms, index] : step.state.by_end) {
    if (ends_ms > step.moment.unix_ms) break;
    over.insert(index);
  }
  for (const uint64_t index : over) {
    auto& record = step.state.experiments.Mutable(index);
    BeginEnd(&record, v1::END_CAUSE_EXPIRED, kTimeIsUp, step.moment);
    step.Finish(&record);
  }
  ForgetAgents(step);
}

void RecordReport(Step step, const v1::RecordReport& part) {
  auto* record = step.state.Find(part.experiment_id());
  if (record == nullptr || !IsFinished(record->experiment())) return;
  step.state.Update(record, [&] {
    AddToReport(part, step.state.version, record->mutable_report());
    record->set_report_index(step.moment.index);
  });
  step.state.DropOldReports();
}

Status Dispatch(Step step, v1::Command& command) {
  switch (command.kind_case()) {
    case v1::Command::kInitCluster:
      if (step.state.cluster_id.empty()) {
        step.state.cluster_id = command.init_cluster().cluster_id();
      }
      break;
    case v1::Command::kCreateExperiment:
      return Create(step, *command.mutable_create_experiment());
    case v1::Command::kStopExperiments:
      return Stop(step, command.stop_experiments());
    case v1::Command::kRegisterAgent:
      Register(step, command.register_agent());
      break;
    case v1::Command::kAgentDisconnected:
      Disconnect(step, command.agent_disconnected());
      break;
    case v1::Command::kReportFaults:
      Report(step, command.report_faults());
      break;
    case v1::Command::kAgentLost:
      Lose(step, command.agent_lost());
      break;
    case v1::Command::kExpire:
      ExpireAll(step);
      break;
    case v1::Command::kRaiseVersion:
      step.state.version = std::max(step.state.version, command.raise_version().version());
      break;
    case v1::Command::kRecordReport:
      RecordReport(step, command.record_report());
      break;
    case v1::Command::kMoveWebhooks:
      MoveCursors(command.move_webhooks(), &step.state.webhooks);
      break;
    case v1::Command::KIND_NOT_SET:
      return MakeError(StatusCode::kUnimplemented, "this version does not know the command");
  }
  return absl::OkStatus();
}

}  // namespace

uint32_t VersionOf(const v1::Command& command) {
  if (command.register_agent().agent().has_lease()) return kLeaseVersion;
  if (command.has_move_webhooks()) return 4;
  if (command.has_record_report()) return VersionOf(command.record_report());
  return command.has_raise_version() ? command.raise_version().version() : kFirstVersion;
}

Outcome Apply(State& state, v1::Command command, uint64_t index, bool wanted) {
  Outcome outcome;
  const Moment moment{index, command.time_unix_ms(), state.version};
  const Status status = Dispatch(Step{state, moment, outcome, wanted}, command);
  if (!status.ok()) *outcome.result.mutable_error() = ToError(status);
  state.DropOldest();
  return outcome;
}

chaos::v1::ErrorStatus ToError(const Status& status) {
  chaos::v1::ErrorStatus error;
  error.set_code(static_cast<int>(status.code()));
  error.set_message(ToString(status.message()));
  if (const auto detail = DetailOf(status)) error.add_details()->PackFrom(*detail);
  return error;
}

Status FromError(const chaos::v1::ErrorStatus& error) {
  Status status(static_cast<StatusCode>(error.code()), ToAbsl(error.message()));
  chaos::v1::ErrorDetail detail;
  if (error.details_size() > 0 && error.details(0).UnpackTo(&detail)) AttachDetail(status, detail);
  return status;
}

}  // namespace faultline::control
