#include "server/metric_stream.h"

#include <algorithm>
#include <atomic>
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
// The courses and ends of experiments that had ended: what their stream begins with.
using History = std::deque<MetricUpdate>;

// What is measured in the last moment of an experiment comes a little after its end, unless its
// agent is gone, and its report some seconds later.
constexpr uint64_t kAfterEndNs = 3 * kNanosPerSecond;
constexpr uint64_t kLookAgainNs = 100 * kNanosPerMilli;
constexpr uint64_t kReportWithinNs = 20 * kNanosPerSecond;
// Waiting for an end is not called off with the stream, but lasts no longer than this at a time.
constexpr uint64_t kWaitAnewNs = 60 * kNanosPerSecond;
constexpr uint64_t kNoRevision = UINT64_MAX;  // is never applied

Status Unknown(const std::string& id) {
  return FieldError("experiment_id", id, "the id of an experiment", "EXPERIMENT_NOT_FOUND",
                    StatusCode::kNotFound);
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
      const auto* record = state.Find(id);
      if (record != nullptr && control::IsFinished(record->experiment())) ended.insert(id);
    }
  });
  return ended;
}

// Whether the whole report stands there by now, or will not: each node records its part, the leader
// the events. `now_ms`: on the clock that the experiment's end is on.
bool IsDecided(const control::v1::ExperimentRecord& record, int64_t now_ms) {
  constexpr auto kReportWithinMs = static_cast<int64_t>(kReportWithinNs / kNanosPerMilli);
  const bool whole = record.report().events_size() > 0 &&
                     UnmeasuredTargets(record.experiment(), record.report()).empty();
  return whole || now_ms > control::ToUnixMs(record.experiment().ended_at()) + kReportWithinMs;
}

bool AreDecided(const Parts& parts, const Ids& ids) {
  const int64_t now_ms = parts.plane->unix_ms();
  return parts.plane->With([&](const control::State& state, const auto&) {
    return std::ranges::all_of(ids, [&](const std::string& id) {
      const auto* record = state.Find(id);
      return record == nullptr || IsDecided(*record, now_ms);
    });
  });
}

// NOT_FOUND when one has been forgotten meanwhile.
StatusOr<History> HistoryOfAll(const Parts& parts, const Ids& ids) {
  // Computed without the state locked. Of an experiment without a report it is empty.
  std::vector<chaos::v1::Report> reports;
  const Status known = parts.plane->With([&](const control::State& state, const auto&) -> Status {
    for (const auto& id : ids) {
      const auto* record = state.Find(id);
      if (record == nullptr) return Unknown(id);
      reports.push_back(record->report());
      *reports.back().mutable_experiment() = record->experiment();
    }
    return absl::OkStatus();
  });
  FL_RETURN_IF_ERROR(known);
  History history;
  for (const auto& report : reports) {
    std::ranges::move(HistoryOf(report.experiment(), report), std::back_inserter(history));
    history.push_back(EndOf(report.experiment()));
  }
  return history;
}

// The ends that a stream is still to tell.
struct Ends {
  ControlPlane* const plane;
  MetricsHub* const hub;
  const std::weak_ptr<MetricStream> stream;
  const std::weak_ptr<MetricsHub::Subscription> fed_by;
  std::atomic<size_t> left;  // at 0 the stream ends
};
using EndsPtr = std::shared_ptr<Ends>;

// One of them, once it is known.
struct End {
  MetricUpdate last;
  std::set<std::string> agents;  // of its targets
  uint64_t ingested = 0;         // batches that the hub had taken by then
  uint64_t latest_ns = 0;
};
using EndPtr = std::shared_ptr<End>;

// On the timers, unless the node ends before: then the stream does, too.
void Later(const EndsPtr& ends, uint64_t at_ns, std::function<void()> then) {
  const auto at = [ends, then = std::move(then)](const Status& waited) {
    const auto stream = ends->stream.lock();
    if (!stream) return;
    if (waited.code() != StatusCode::kDeadlineExceeded) return stream->End(waited);
    then();
  };
  ends->plane->WaitForRevision(kNoRevision, at_ns, at);
}

// Tells the end when what is measured in the experiment's last moment has come, of each agent, or
// as late as that may be.
void TellEndSoon(const EndsPtr& ends, const EndPtr& end) {
  const uint64_t now_ns = MonotonicNowNs();
  const std::string& id = end->last.experiment_id();
  if (now_ns >= end->latest_ns || ends->hub->HasAllOf(id, end->agents, end->ingested)) {
    const auto stream = ends->stream.lock();
    const auto subscription = ends->fed_by.lock();
    if (!stream || !subscription) return;
    subscription->End(std::shared_ptr<const MetricUpdate>(end, &end->last));
    if (--ends->left == 0) stream->EndWhenEmpty(absl::OkStatus());
    return;
  }
  Later(ends, now_ns + kLookAgainNs, [ends, end] { TellEndSoon(ends, end); });
}

// Once the experiment has ended. NOT_FOUND for the stream when it is forgotten already.
void BeginToTellEnd(const EndsPtr& ends, const std::string& id) {
  const auto end = std::make_shared<End>();
  ends->plane->With([&](const control::State& state, const auto&) {
    const auto* record = state.Find(id);
    if (record == nullptr) return;
    end->last = EndOf(record->experiment());
    for (const auto& pair : record->experiment().targets()) end->agents.insert(pair.agent_id());
  });
  if (!end->last.has_end()) {
    if (const auto stream = ends->stream.lock()) stream->End(Unknown(id));
    return;
  }
  end->ingested = ends->hub->ingested();
  end->latest_ns = MonotonicNowNs() + kAfterEndNs;
  TellEndSoon(ends, end);
}

// Waits for the experiment's end and tells it. A node that is ending leaves that to another.
void AwaitEnd(const EndsPtr& ends, const std::string& id) {
  const auto over = [ends, id](const Status& waited) {
    const auto stream = ends->stream.lock();
    if (!stream) return;
    if (waited.code() == StatusCode::kDeadlineExceeded) return AwaitEnd(ends, id);
    if (!waited.ok()) return stream->End(waited);
    BeginToTellEnd(ends, id);
  };
  ends->plane->WaitForEnds({id}, MonotonicNowNs() + kWaitAnewNs, over);
}

// `ended`: what is told of these is their history, and their end.
void Feed(const Parts& parts, const std::shared_ptr<MetricStream>& stream,
          const SubscribeToMetricsRequest& request, const Ticket& ticket, const Ids& ended) {
  auto history = HistoryOfAll(parts, ended);
  if (!history.ok()) return stream->End(history.status());
  const auto past = std::make_shared<History>(*std::move(history));
  MetricsHub::Filter filter;
  filter.all = request.all();
  Ids live;
  std::ranges::set_difference(IdsOf(request), ended, std::inserter(live, live.end()));
  filter.experiment_ids = live;
  filter.observes = Observes(parts, request.target());
  filter.target = request.target();
  if (request.rate_hz() > 0) filter.rate_hz = request.rate_hz();
  filter.include_histogram = request.include_histogram();
  for (const auto& position : request.resume()) {
    filter.resume[{position.agent_id(), position.incarnation()}] = position.sequence();
  }
  for (const auto& series : request.resume_series()) {
    const auto& position = series.position();
    filter.resume_series[{series.experiment_id(), series.target_id(), position.agent_id(),
                          position.incarnation()}] = position.sequence();
  }
  const std::weak_ptr<MetricStream> weak = stream;
  std::shared_ptr<MetricsHub::Subscription> subscription =
      parts.metrics->Subscribe(std::move(filter), [weak] {
        if (const auto awake = weak.lock()) awake->Wake();
      });
  stream->Feed([subscription, ticket, past]() -> MetricStream::Message {
    if (past->empty()) return subscription->Next();
    auto update = std::make_shared<const MetricUpdate>(std::move(past->front()));
    past->pop_front();
    return update;
  });
  const bool goes_on = request.all() || !request.target().empty();
  if (live.empty() && !goes_on) return stream->EndWhenEmpty(absl::OkStatus());
  const EndsPtr ends(
      new Ends{parts.plane, parts.metrics, weak, subscription, live.size() + (goes_on ? 1 : 0)});
  for (const auto& id : live) AwaitEnd(ends, id);
}

// Feeds the stream once the reports of `ended` are decided, at `latest_ns` in any case.
void FeedWhenDecided(const Parts& parts, const std::shared_ptr<MetricStream>& stream,
                     const SubscribeToMetricsRequest& request, const Ticket& ticket,
                     const Ids& ended, uint64_t latest_ns) {
  const uint64_t now_ns = MonotonicNowNs();
  if (now_ns >= latest_ns || AreDecided(parts, ended)) {
    return Feed(parts, stream, request, ticket, ended);
  }
  const auto again = [=](const Status& waited) {
    if (waited.code() == StatusCode::kUnavailable) return stream->End(waited);
    FeedWhenDecided(parts, stream, request, ticket, ended, latest_ns);
  };
  parts.plane->WaitForRevision(kNoRevision, now_ns + kLookAgainNs, again);
}

}  // namespace

bool KnowsAll(const Parts& parts, const SubscribeToMetricsRequest& request) {
  return parts.plane->With([&](const control::State& state, const auto&) {
    const Ids ids = IdsOf(request);
    return std::ranges::all_of(ids, [&](const auto& id) { return state.Find(id) != nullptr; });
  });
}

void StreamMetrics(const Parts& parts, const std::shared_ptr<MetricStream>& stream,
                   const SubscribeToMetricsRequest& request, const Ticket& ticket) {
  for (const auto& id : IdsOf(request)) {
    const bool known = parts.plane->With(
        [&](const control::State& state, const auto&) { return state.Find(id) != nullptr; });
    if (!known) return stream->End(Unknown(id));
  }
  const Ids ended = WithHistory(parts, request);
  if (ended.empty()) return Feed(parts, stream, request, ticket, {});
  FeedWhenDecided(parts, stream, request, ticket, ended, MonotonicNowNs() + kReportWithinNs);
}

}  // namespace faultline::server
