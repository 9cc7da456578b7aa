#include "control/webhook_events.h"

#include <algorithm>
#include <array>
#include <limits>

namespace faultline::control {
namespace {

using namespace chaos::v1;  // NOLINT: the enumerators

constexpr std::array kTypes = {
    std::pair{WEBHOOK_EVENT_TYPE_START, "start"},
    std::pair{WEBHOOK_EVENT_TYPE_STOP, "stop"},
    std::pair{WEBHOOK_EVENT_TYPE_VERDICT, "verdict"},
    std::pair{WEBHOOK_EVENT_TYPE_HALT, "halt"},
    std::pair{WEBHOOK_EVENT_TYPE_LOST_TARGET, "lost_target"},
};

void FillVerdict(const Experiment& experiment, WebhookEvent* event) {
  event->set_status(experiment.status() == EXPERIMENT_STATUS_COMPLETED ? "completed" : "failed");
  event->set_phase(experiment.phase());
  event->set_reason(experiment.reason());
  auto* counts = event->mutable_targets();
  for (const auto& pair : experiment.targets()) {
    if (pair.phase() == TARGET_PHASE_REVERTED) counts->set_reverted(counts->reverted() + 1);
    if (pair.phase() == TARGET_PHASE_REFUSED) counts->set_refused(counts->refused() + 1);
    if (pair.phase() == TARGET_PHASE_LOST) counts->set_lost(counts->lost() + 1);
  }
}

void FillPair(const FaultTarget& pair, bool whole_agent, WebhookEvent* event) {
  event->set_agent_id(pair.agent_id());
  event->set_reason(pair.reason());
  if (whole_agent) return;
  event->set_target_id(pair.target_id());
  event->set_fault_index(pair.fault_index());
}

WebhookEvent MakeEvent(const State& state, const v1::ExperimentRecord& record, int position) {
  const v1::Notice& notice = record.notices(position);
  const Experiment& experiment = record.experiment();
  WebhookEvent event;
  event.set_id(fmt::format("{}.{}.{}", state.cluster_id, experiment.experiment_id(), position));
  event.set_type(WebhookTypeWord(notice.type()));
  *event.mutable_time() = ToTimestamp(notice.time_unix_ms());
  event.set_cluster_id(state.cluster_id);
  event.set_experiment_id(experiment.experiment_id());
  event.set_target(experiment.target());
  *event.mutable_faults() = experiment.faults();
  event.set_created_by(experiment.created_by());
  const auto pair = static_cast<int>(notice.pair());
  switch (notice.type()) {
    case WEBHOOK_EVENT_TYPE_STOP:
      event.set_reason(experiment.reason());
      break;
    case WEBHOOK_EVENT_TYPE_VERDICT:
      FillVerdict(experiment, &event);
      break;
    case WEBHOOK_EVENT_TYPE_HALT:
      FillPair(experiment.targets(pair), /*whole_agent=*/true, &event);
      break;
    case WEBHOOK_EVENT_TYPE_LOST_TARGET:
      FillPair(experiment.targets(pair), /*whole_agent=*/false, &event);
      break;
    default:
      break;
  }
  return event;
}

}  // namespace

NoticePlace AfterIndex(uint64_t index) {
  return {index, std::numeric_limits<uint64_t>::max(), std::numeric_limits<int>::max()};
}

std::vector<PlacedEvent> EventsAfter(const State& state, const NoticePlace& after,
                                     const WebhookTypes& types, size_t limit) {
  std::vector<NoticePlace> places;
  // An experiment's revision is at least the index of its newest notice.
  for (auto at = state.by_revision.lower_bound({after.index, 0}); at != state.by_revision.end();
       ++at) {
    const auto& record = state.experiments.at(at->second);
    for (int i = record.notices_size() - 1; i >= 0; --i) {
      const NoticePlace place{record.notices(i).index(), at->second, i};
      if (place <= after) break;
      if (types.contains(record.notices(i).type())) places.push_back(place);
    }
  }
  const size_t count = std::min(limit, places.size());
  std::partial_sort(places.begin(), places.begin() + static_cast<ptrdiff_t>(count), places.end());
  std::vector<PlacedEvent> events;
  for (size_t i = 0; i < count; ++i) {
    const auto& record = state.experiments.at(places[i].experiment);
    events.push_back({places[i], MakeEvent(state, record, places[i].notice)});
  }
  return events;
}

void MoveCursors(const v1::MoveWebhooks& command, std::map<std::string, uint64_t>* cursors) {
  for (const auto& moved : command.cursors()) {
    uint64_t& index = (*cursors)[moved.name()];
    index = std::max(index, moved.index());
  }
  while (cursors->size() > kMaxWebhookCursors) {
    cursors->erase(std::min_element(cursors->begin(), cursors->end(),
                                    [](auto& a, auto& b) { return a.second < b.second; }));
  }
}

std::string WebhookTypeWord(WebhookEventType type) {
  for (const auto& [known, word] : kTypes) {
    if (known == type) return word;
  }
  return "";
}

WebhookEventType WebhookTypeOf(std::string_view word) {
  for (const auto& [type, known] : kTypes) {
    if (known == word) return type;
  }
  return WEBHOOK_EVENT_TYPE_UNSPECIFIED;
}

}  // namespace faultline::control
