#include "server/metric_stream.h"

#include <algorithm>
#include <deque>
#include <iterator>

#include "base/clock.h"
#include "control/selector.h"
#include "server/metric_history.h"
#include "server/report_summary.h"
#include "server/validation.h"

namespace faultline::server {
namespace {

using chaos::v1::MetricUpdate;
using chaos::v1::SubscribeToMetricsRequest;
using Ids = std::set<std::string>;
using Ticket = std::shared_ptr<Gate::Ticket>;
// The courses of experiments that had ended: what their stream begins with.
using History = std::deque<MetricUpdate>;

// What is measured in the last moment of an experiment comes a little after its end, and its report
// some seconds later.
constexpr uint64_t kAfterEndNs = kNanosPerSecond;
constexpr uint64_t kReportWithinNs = 20 * kNanosPerSecond;

// The named experiments' end, known here; nothing when one is unknown.
std::optional<bool> AllFinished(const control::State& state, const Ids& ids) {
  bool finished = true;
  for (const auto& id : ids) {
    const auto* record = state.Find(id);
    if (record == nullptr) return std::nullopt;
    finished &= control::IsFinished(record->experiment());
  }
  return finished;
}

// Does the selector match the target, as this node knows it now?
std::function<bool(const std::string&)> Observes(const Parts& parts, const std::string& text) {
  if (text.empty()) return nullptr;
  // Validated before.
  const auto selector = std::make_shared<control::Selector>(*control::Selector::Parse(text));
  return [plane = parts.plane, selector](const std::string& target_id) {
    return plane->With([&](const control::State& state, const auto&) {
      const auto agent = state.agents.find(target_id.substr(0, target_id.rfind('/')));
      if (agent == state.agents.end()) return false;
      for (const auto& target : agent->second.targets()) {
        if (target.target_id() == target_id) return selector->Matches(target);
      }
      return false;
    });
  };
}

// Those of the named experiments whose course the stream begins with. Whoever goes on with live
// updates has had them.
Ids WithHistory(const Parts& parts, const SubscribeToMetricsRequest& request) {
  const auto& positions = request.resume();
  const bool goes_on = std::any_of(positions.begin(), positions.end(), [](const auto& position) {
    return position.incarnation() != 0;
  });
  Ids ended;
  if (goes_on) return ended;
  parts.plane->With([&](const control::State& state, const auto&) {
    for (const auto& id : IdsOf(request)) {
      if (AllFinished(state, {id}).value_or(false)) ended.insert(id);
    }
  });
  return ended;
}

// Whether the whole report stands there by now, or will not: each node records its part, the leader
// the events.
bool IsDecided(const control::v1::ExperimentRecord& record) {
  const int64_t now_ms = UnixNowNs() / static_cast<int64_t>(kNanosPerMilli);
  constexpr auto kReportWithinMs = static_cast<int64_t>(kReportWithinNs / kNanosPerMilli);
  const bool whole =
      record.report().events_size() > 0 && UnmeasuredTargets(record.report()).empty();
  return whole || now_ms > control::ToUnixMs(record.experiment().ended_at()) + kReportWithinMs;
}

History HistoryOfAll(const Parts& parts, const Ids& ids) {
  // Computed without the state locked.
  std::vector<chaos::v1::Report> reports;
  parts.plane->With([&](const control::State& state, const auto&) {
    for (const auto& id : ids) {
      const auto* record = state.Find(id);
      if (record == nullptr || !record->has_report()) continue;
      reports.push_back(record->report());
      *reports.back().mutable_experiment() = record->experiment();
    }
  });
  History history;
  for (const auto& report : reports) {
    std::ranges::move(HistoryOf(report.experiment(), report), std::back_inserter(history));
  }
  return history;
}

// Ends the stream soon after the named experiments have ended, when all has been said.
void EndWith(const Parts& parts, const Ids& ids, const std::weak_ptr<MetricStream>& weak,
             const std::weak_ptr<MetricsHub::Subscription>& fed_by) {
  const auto over = [ids, weak](const control::State& state, uint64_t) {
    return weak.expired() || AllFinished(state, ids).value_or(true);
  };
  constexpr uint64_t kLongestNs = 48ULL * 3'600 * kNanosPerSecond;
  ControlPlane* const plane = parts.plane;
  plane->WaitUntil(over, MonotonicNowNs() + kLongestNs, [plane, weak, fed_by](const Status&) {
    const auto never = [](const control::State&, uint64_t) { return false; };
    plane->WaitUntil(never, MonotonicNowNs() + kAfterEndNs, [weak, fed_by](const Status&) {
      if (const auto subscription = fed_by.lock()) subscription->Finish();
      if (const auto stream = weak.lock()) stream->EndWhenEmpty(absl::OkStatus());
    });
  });
}

// `ended`: what is told of these is their history.
void Feed(const Parts& parts, const std::shared_ptr<MetricStream>& stream,
          const SubscribeToMetricsRequest& request, const Ticket& ticket, const Ids& ended) {
  const Ids ids = IdsOf(request);
  MetricsHub::Filter filter;
  filter.all = request.all();
  std::ranges::set_difference(ids, ended,
                              std::inserter(filter.experiment_ids, filter.experiment_ids.end()));
  filter.observes = Observes(parts, request.target());
  if (request.rate_hz() > 0) filter.rate_hz = request.rate_hz();
  filter.include_histogram = request.include_histogram();
  for (const auto& position : request.resume()) {
    filter.resume[{position.agent_id(), position.incarnation()}] = position.sequence();
  }
  const std::weak_ptr<MetricStream> weak = stream;
  std::shared_ptr<MetricsHub::Subscription> subscription =
      parts.metrics->Subscribe(std::move(filter), [weak] {
        if (const auto awake = weak.lock()) awake->Wake();
      });
  const auto past = std::make_shared<History>(HistoryOfAll(parts, ended));
  stream->Feed([subscription, ticket, past]() -> std::optional<MetricUpdate> {
    if (!past->empty()) {
      MetricUpdate update = std::move(past->front());
      past->pop_front();
      return update;
    }
    const auto update = subscription->Next();
    return update ? std::optional(*update) : std::nullopt;
  });
  const bool only_named = !request.all() && request.target().empty();
  if (only_named) EndWith(parts, ids, weak, subscription);
}

}  // namespace

bool KnowsAll(const Parts& parts, const SubscribeToMetricsRequest& request) {
  return parts.plane->With([&](const control::State& state, const auto&) {
    return AllFinished(state, IdsOf(request)).has_value();
  });
}

void StreamMetrics(const Parts& parts, const std::shared_ptr<MetricStream>& stream,
                   const SubscribeToMetricsRequest& request, const Ticket& ticket) {
  for (const auto& id : IdsOf(request)) {
    const bool known = parts.plane->With(
        [&](const control::State& state, const auto&) { return state.Find(id) != nullptr; });
    if (known) continue;
    return stream->End(FieldError("experiment_id", id, "the id of an experiment",
                                  "EXPERIMENT_NOT_FOUND", StatusCode::kNotFound));
  }
  const Ids ended = WithHistory(parts, request);
  if (ended.empty()) return Feed(parts, stream, request, ticket, {});
  const auto decided = [ended](const control::State& state, uint64_t) {
    return std::ranges::all_of(ended, [&](const std::string& id) {
      const auto* record = state.Find(id);
      return record == nullptr || IsDecided(*record);
    });
  };
  parts.plane->WaitUntil(decided, MonotonicNowNs() + kReportWithinNs,
                         [parts, stream, request, ticket, ended](const Status&) {
                           Feed(parts, stream, request, ticket, ended);
                         });
}

}  // namespace faultline::server
