#include "control/lifecycle.h"

#include <algorithm>
#include <string>

#include "control/state.h"

namespace faultline::control {
namespace {

using namespace chaos::v1;  // NOLINT: the enumerators of TargetPhase and ExperimentStatus

struct Counts {
  int active = 0;
  int ended = 0;
  int refused = 0;
  int lost = 0;
  const std::string* first_reason = nullptr;
};

Counts CountPhases(const Experiment& experiment) {
  Counts counts;
  for (const auto& pair : experiment.targets()) {
    if (pair.phase() == TARGET_PHASE_ACTIVE) ++counts.active;
    if (!HasEnded(pair.phase())) continue;
    ++counts.ended;
    if (pair.phase() == TARGET_PHASE_REFUSED) ++counts.refused;
    if (pair.phase() == TARGET_PHASE_LOST) ++counts.lost;
    if (counts.first_reason == nullptr && !pair.reason().empty()) {
      counts.first_reason = &pair.reason();
    }
  }
  return counts;
}

const char* FinalPhase(const v1::ExperimentRecord& record, const Counts& counts) {
  if (record.end_cause() == v1::END_CAUSE_STOPPED) return "stopped";
  if (record.end_cause() == v1::END_CAUSE_EXPIRED) return "expired";
  if (counts.refused == counts.ended) return "refused";
  return counts.lost > 0 ? "lost" : "reverted";
}

// Agents may have reverted it, by their own clocks, a moment before it is said that its time is up.
void NoteExpired(v1::ExperimentRecord* record, const Counts& counts, const Moment& moment) {
  const bool over = moment.unix_ms >= ToUnixMs(record->experiment().ends_at());
  const bool all_reverted = counts.refused == 0 && counts.lost == 0;
  if (record->end_cause() != v1::END_CAUSE_UNSPECIFIED || !over || !all_reverted) return;
  record->set_end_cause(v1::END_CAUSE_EXPIRED);
  record->set_end_index(moment.index);
  record->mutable_experiment()->set_reason(kTimeIsUp);
  if (moment.version >= 11) AddNotice(record, WEBHOOK_EVENT_TYPE_STOP, moment);
}

const char* PresentPhase(const v1::ExperimentRecord& record, const Counts& counts) {
  if (record.end_cause() == v1::END_CAUSE_STOPPED) return "stopping";
  if (record.end_cause() == v1::END_CAUSE_EXPIRED) return "expiring";
  return counts.active > 0 ? "active" : "arming";
}

bool HasStartNotice(const v1::ExperimentRecord& record) {
  return std::any_of(record.notices().begin(), record.notices().end(),
                     [](const auto& notice) { return notice.type() == WEBHOOK_EVENT_TYPE_START; });
}

// One notice for each agent, however many of the experiment's pairs it has.
void NoticeHalt(v1::ExperimentRecord* record, int position, const Moment& moment) {
  const auto& pairs = record->experiment().targets();
  const bool known =
      std::any_of(record->notices().begin(), record->notices().end(), [&](const auto& notice) {
        return notice.type() == WEBHOOK_EVENT_TYPE_HALT &&
               pairs[static_cast<int>(notice.pair())].agent_id() == pairs[position].agent_id();
      });
  if (!known) AddNotice(record, WEBHOOK_EVENT_TYPE_HALT, moment, position);
}

}  // namespace

void AddNotice(v1::ExperimentRecord* record, WebhookEventType type, const Moment& moment,
               int pair) {
  if (moment.version < 4) return;
  auto* notice = record->add_notices();
  notice->set_type(type);
  notice->set_index(moment.index);
  notice->set_time_unix_ms(moment.unix_ms);
  notice->set_pair(static_cast<uint32_t>(pair));
}

bool SetPhase(FaultTarget* pair, TargetPhase phase, std::string_view reason, const Moment& moment) {
  if (HasEnded(pair->phase()) || pair->phase() == phase) return false;
  pair->set_phase(phase);
  pair->set_reason(std::string(reason));
  *pair->mutable_phase_since() = ToTimestamp(moment.unix_ms);
  return true;
}

void TakeReport(const FaultReport& report, int position, v1::ExperimentRecord* record,
                const Moment& moment) {
  auto* pair = record->mutable_experiment()->mutable_targets(position);
  if (report.phase() == TARGET_PHASE_ACTIVE) record->set_was_active(true);
  if (pair->phase() == TARGET_PHASE_REVERTING) {
    if (report.phase() == TARGET_PHASE_ACTIVE) return;
  } else if (report.halted()) {
    NoticeHalt(record, position, moment);
  }
  SetPhase(pair, report.phase(), report.reason(), moment);
  // It still waits, but for something else.
  if (report.phase() == TARGET_PHASE_PENDING) pair->set_reason(report.reason());
}

void BeginEnd(v1::ExperimentRecord* record, v1::EndCause cause, std::string_view reason,
              const Moment& moment) {
  if (record->end_cause() != v1::END_CAUSE_UNSPECIFIED) return;
  record->set_end_cause(cause);
  record->set_end_index(moment.index);
  auto* experiment = record->mutable_experiment();
  experiment->set_reason(std::string(reason));
  AddNotice(record, WEBHOOK_EVENT_TYPE_STOP, moment);
  for (auto& pair : *experiment->mutable_targets()) {
    SetPhase(&pair, TARGET_PHASE_REVERTING, "", moment);
  }
}

void Conclude(v1::ExperimentRecord* record, const Moment& moment) {
  auto* experiment = record->mutable_experiment();
  experiment->set_revision(moment.index);
  const Counts counts = CountPhases(*experiment);
  if (counts.active > 0) record->set_was_active(true);
  if (record->was_active() && !HasStartNotice(*record)) {
    AddNotice(record, WEBHOOK_EVENT_TYPE_START, moment);
  }
  if (counts.ended < experiment->targets_size()) {
    // What was active once, or was told to arm and then to revert, may be faulty.
    const bool running = record->was_active() || record->end_cause() != v1::END_CAUSE_UNSPECIFIED;
    experiment->set_status(running ? EXPERIMENT_STATUS_RUNNING : EXPERIMENT_STATUS_PENDING);
    experiment->set_phase(PresentPhase(*record, counts));
    return;
  }
  if (moment.version >= 10) NoteExpired(record, counts, moment);
  experiment->set_status(record->was_active() ? EXPERIMENT_STATUS_COMPLETED
                                              : EXPERIMENT_STATUS_FAILED);
  experiment->set_phase(FinalPhase(*record, counts));
  if (experiment->reason().empty() && counts.first_reason != nullptr) {
    experiment->set_reason(*counts.first_reason);
  }
  *experiment->mutable_ended_at() = ToTimestamp(moment.unix_ms);
  AddNotice(record, WEBHOOK_EVENT_TYPE_VERDICT, moment);
}

}  // namespace faultline::control
