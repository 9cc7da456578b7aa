#include "server/metric_history.h"

#include <algorithm>

#include "base/clock.h"
#include "base/measurements.h"
#include "control/report_course.h"

namespace faultline::server {
namespace {

using chaos::v1::MetricUpdate;
using chaos::v1::Report;
using chaos::v1::ReportPoint;
using chaos::v1::TargetReport;

int64_t ToNs(const google::protobuf::Timestamp& time) {
  return time.seconds() * static_cast<int64_t>(kNanosPerSecond) + time.nanos();
}

// When the target's first fault became active.
int64_t ActiveNs(const chaos::v1::Experiment& experiment, const Report& report,
                 const std::string& target_id) {
  const auto& events = report.events();
  const auto active = std::find_if(events.begin(), events.end(), [&](const auto& event) {
    return event.what() == "active" && event.target_id() == target_id;
  });
  return ToNs(active == events.end() ? experiment.created_at() : active->time());
}

// Points that would have had room in the gap before this one.
uint64_t MissedPoints(const TargetReport& target, int i) {
  if (i == 0) return 0;
  const uint64_t gap_ms = GapMs(target.points(i - 1), target.points(i));
  if (gap_ms == 0) return 0;
  return std::max<uint64_t>(1, gap_ms / std::max<uint64_t>(1, target.points(i).length_ms()));
}

const chaos::v1::Measurements& PhaseOf(const TargetReport& target, chaos::v1::ReportPhase phase) {
  switch (phase) {
    case chaos::v1::REPORT_PHASE_BEFORE:
      return target.before();
    case chaos::v1::REPORT_PHASE_AFTER:
      return target.after();
    default:
      return target.during();
  }
}

// Points before version 10 do not say so themselves: of these, the ones in which nothing was paired
// in a phase that says so.
void SetMeasurable(const TargetReport& target, const ReportPoint& point, MetricUpdate* update) {
  const auto& phase = PhaseOf(target, point.phase());
  const auto& points = target.points();
  const bool may_be_old =
      phase.not_measurable() > 0 && point.packets() > 0 && point.requests() == 0;
  const bool guessed =
      may_be_old && std::none_of(points.begin(), points.end(), [&](const ReportPoint& other) {
        return other.phase() == point.phase() && other.not_measurable() > 0;
      });
  update->set_measurable(point.not_measurable() == 0 && !guessed);
  if (!update->measurable()) update->set_not_measurable_reason(phase.not_measurable_reason());
}

void SetPoint(const ReportPoint& point, MetricUpdate* update) {
  update->set_p50_latency_ms(point.p50_ms());
  update->set_p99_latency_ms(point.p99_ms());
  update->set_request_count(point.requests());
  update->set_packets(point.packets());
  update->set_interval_ns(point.length_ms() * kNanosPerMilli);
  if (point.length_ms() == 0) return;
  const double seconds = static_cast<double>(point.length_ms()) / 1e3;
  update->set_requests_per_second(static_cast<double>(point.requests()) / seconds);
  update->set_packets_per_second(static_cast<double>(point.packets()) / seconds);
  update->set_drops_per_second(static_cast<double>(point.dropped()) / seconds);
}

}  // namespace

std::vector<MetricUpdate> HistoryOf(const chaos::v1::Experiment& experiment, const Report& report) {
  std::vector<MetricUpdate> history;
  for (const TargetReport& target : report.targets()) {
    const int64_t active_ns = ActiveNs(experiment, report, target.target_id());
    const auto fault_ms = static_cast<int64_t>(control::FaultOffsetMs(target));
    uint64_t number = 0, dropped = 0;
    for (int i = 0; i < target.points_size(); ++i) {
      const ReportPoint& point = target.points(i);
      MetricUpdate& update = history.emplace_back();
      update.set_experiment_id(experiment.experiment_id());
      update.set_target_id(target.target_id());
      update.mutable_position()->set_agent_id(target.agent_id());
      update.set_missed_batches(MissedPoints(target, i));
      number += 1 + update.missed_batches();
      update.mutable_position()->set_sequence(number);
      SetPoint(point, &update);
      SetMeasurable(target, point, &update);
      const auto end_ms = static_cast<int64_t>(point.offset_ms() + point.length_ms());
      update.set_timestamp_ns(active_ns +
                              (end_ms - fault_ms) * static_cast<int64_t>(kNanosPerMilli));
      dropped += point.dropped();
      update.set_packet_drops(static_cast<int64_t>(dropped));
    }
  }
  std::stable_sort(history.begin(), history.end(), [](const auto& a, const auto& b) {
    return a.timestamp_ns() < b.timestamp_ns();
  });
  return history;
}

MetricUpdate EndOf(const chaos::v1::Experiment& experiment) {
  MetricUpdate update;
  update.set_experiment_id(experiment.experiment_id());
  update.set_timestamp_ns(ToNs(experiment.ended_at()));
  chaos::v1::ExperimentEnd& end = *update.mutable_end();
  end.set_status(experiment.status());
  end.set_phase(experiment.phase());
  end.set_reason(experiment.reason());
  *end.mutable_ended_at() = experiment.ended_at();
  return update;
}

}  // namespace faultline::server
