#include "server/report_summary.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <set>

#include "base/clock.h"
#include "base/histogram.h"
#include "base/measurements.h"
#include "base/traffic.h"
#include "server/report_parameters.h"

namespace faultline::server {
namespace {

using chaos::v1::Measurements;
using chaos::v1::Report;
using chaos::v1::ReportEvent;
using chaos::v1::TrafficEvent;

// Two-sided 95 % of the normal distribution.
constexpr double kZ = 1.959964;
constexpr double kPercentiles[] = {50, 90, 99};

// The order statistics between which the percentile lies with 95 %: of n values those of ranks
// np -+ z sqrt(np(1-p)), where there are such.
chaos::v1::Percentile PercentileOf(const Histogram& histogram, double percent) {
  const auto n = static_cast<double>(histogram.count());
  const double p = percent / 100;
  const double half = kZ * std::sqrt(p * (1 - p) / n) * 100;
  chaos::v1::Percentile out;
  out.set_percent(percent);
  out.set_value_ms(histogram.PercentileNs(percent) / 1e6);
  if (percent - half >= 100 / n) out.set_low_ms(histogram.PercentileNs(percent - half) / 1e6);
  if (percent + half <= 100) out.set_high_ms(histogram.PercentileNs(percent + half) / 1e6);
  return out;
}

// How many there are; their percentiles, none of nothing.
uint64_t SummarizeTimes(const chaos::v1::SparseHistogram& times,
                        google::protobuf::RepeatedPtrField<chaos::v1::Percentile>* percentiles) {
  Histogram histogram;
  histogram.Merge(times).IgnoreError();  // merged before
  if (histogram.count() == 0) return 0;
  for (const double percent : kPercentiles) *percentiles->Add() = PercentileOf(histogram, percent);
  return histogram.count();
}

void SummarizePhase(bool keep_histogram, Measurements* measured) {
  // What stands there was counted when its histograms were given up.
  measured->set_requests(measured->requests() +
                         SummarizeTimes(measured->latency(), measured->mutable_percentiles()));
  measured->set_handshakes(
      measured->handshakes() +
      SummarizeTimes(measured->traffic().handshake(), measured->mutable_handshake_percentiles()));
  SummarizeTimes(measured->traffic().smoothed_rtt(), measured->mutable_rtt_percentiles());
  if (keep_histogram) return;
  measured->clear_latency();
  if (measured->has_traffic()) ClearHistograms(measured->mutable_traffic());
}

// Of each fault on each target what its packets waited, and the same over all targets.
void AddEffects(bool keep_histograms, Report* report) {
  std::map<uint32_t, chaos::v1::FaultEffect> faults;
  const auto summarize = [keep_histograms](chaos::v1::FaultEffect* effect) {
    SummarizeTimes(effect->given(), effect->mutable_given_percentiles());
    effect->clear_armings();
    effect->clear_by_arming();
    if (!keep_histograms) effect->clear_given();
  };
  for (auto& target : *report->mutable_targets()) {
    for (auto& effect : *target.mutable_faults()) {
      AddUp(effect, &faults[effect.fault_index()]);
      summarize(&effect);
    }
  }
  for (const auto& effect : report->left_out().faults()) {
    AddUp(effect, &faults[effect.fault_index()]);
  }
  for (auto& [index, effect] : faults) {
    effect.set_fault_index(index);
    summarize(&effect);
    *report->add_faults() = std::move(effect);
  }
}

std::string WordOf(chaos::v1::TrafficEventType type) {
  switch (type) {
    case chaos::v1::TRAFFIC_EVENT_TYPE_REFUSED:
      return "connection refused";
    case chaos::v1::TRAFFIC_EVENT_TYPE_RESET:
      return "connection reset";
    case chaos::v1::TRAFFIC_EVENT_TYPE_KERNEL_DROP:
      return "kernel drop";
    case chaos::v1::TRAFFIC_EVENT_TYPE_FAILED:
      return "connection failed";
    default:
      return "event";  // of a newer program
  }
}

std::string EndText(const std::string& address, uint32_t port) {
  if (port == 0) return address;
  const bool ipv6 = address.find(':') != std::string::npos;
  return ipv6 ? fmt::format("[{}]:{}", address, port) : fmt::format("{}:{}", address, port);
}

ReportEvent MakeEvent(const std::string& target_id, int64_t unix_ns, const std::string& what) {
  ReportEvent out;
  out.mutable_time()->set_seconds(unix_ns / static_cast<int64_t>(kNanosPerSecond));
  out.mutable_time()->set_nanos(
      static_cast<int32_t>(unix_ns % static_cast<int64_t>(kNanosPerSecond)));
  out.set_what(what);
  out.set_target_id(target_id);
  return out;
}

ReportEvent ToReportEvent(const std::string& target_id, const TrafficEvent& event) {
  ReportEvent out = MakeEvent(target_id, event.timestamp_ns(), WordOf(event.type()));
  std::string from = EndText(event.local_address(), event.local_port());
  std::string to = EndText(event.peer_address(), event.peer_port());
  if (!event.sent()) from.swap(to);
  out.set_detail(fmt::format("{} {} to {}{}{}", event.protocol(), from, to,
                             event.reason().empty() ? "" : ": ", event.reason()));
  return out;
}

ReportEvent ToReportEvent(const std::string& target_id, const chaos::v1::OtherExperiment& other) {
  ReportEvent out = MakeEvent(target_id, other.unix_ns(), "other experiment");
  const char* where = !other.after()    ? "what it did is in \"during\""
                      : !other.during() ? "what was measured then is not in \"after\""
                                        : "what it did is in \"during\", and not in \"after\"";
  out.set_detail(fmt::format("{} had a fault on the target too: {}", other.experiment_id(), where));
  return out;
}

// What happened to targets and their connections takes its place among what happened to the faults.
void AddTargetEvents(Report* report) {
  for (auto& target : *report->mutable_targets()) {
    for (const auto& other : target.others()) {
      *report->add_events() = ToReportEvent(target.target_id(), other);
    }
    for (auto* phase : {target.mutable_before(), target.mutable_during(), target.mutable_after()}) {
      if (!phase->has_traffic()) continue;
      for (const TrafficEvent& event : phase->traffic().events()) {
        *report->add_events() = ToReportEvent(target.target_id(), event);
      }
      phase->mutable_traffic()->clear_events();
    }
  }
  std::stable_sort(report->mutable_events()->begin(), report->mutable_events()->end(),
                   [](const ReportEvent& a, const ReportEvent& b) {
                     return std::pair(a.time().seconds(), a.time().nanos()) <
                            std::pair(b.time().seconds(), b.time().nanos());
                   });
}

// Histograms that targets gave up belong to what was measured over all of them.
void AddWhatIsLeftOut(bool keep_histograms, Report* report) {
  if (!report->has_left_out()) return;
  auto* left_out = report->mutable_left_out();
  AddMeasurements(left_out->before(), report->mutable_before());
  AddMeasurements(left_out->during(), report->mutable_during());
  AddMeasurements(left_out->after(), report->mutable_after());
  if (!keep_histograms) {
    left_out->clear_before();
    left_out->clear_during();
    left_out->clear_after();
    left_out->clear_faults();
  }
  uint64_t percentiles = 0, points = 0, events = 0;
  for (const auto& target : report->targets()) {
    percentiles += target.histograms_left_out() ? 1 : 0;
    points += target.points_left_out() ? 1 : 0;
    events += target.events_left_out() ? 1 : 0;
  }
  left_out->set_targets_without_percentiles(percentiles);
  left_out->set_targets_without_points(points);
  left_out->set_targets_without_events(events);
}

}  // namespace

std::vector<std::string> UnmeasuredTargets(const chaos::v1::Experiment& experiment,
                                           const Report& report) {
  std::set<std::string> measured, active, ended;
  for (const auto& target : report.targets()) measured.insert(target.target_id());
  for (const auto& event : report.events()) {
    if (event.what() == "active") active.insert(event.target_id());
    if (event.what() == "reverting") ended.insert(event.target_id());
  }
  if (report.left_out().events() > 0) ended.clear();
  // The leader that tells the events may have learnt of them from a snapshot: without a word of how
  // its end began, what had to be reverted was active for all that is known. What waited for its
  // agent is lost without having been active.
  const bool any = experiment.status() == chaos::v1::EXPERIMENT_STATUS_COMPLETED;
  for (const auto& pair : experiment.targets()) {
    const bool was_armed =
        pair.phase() == chaos::v1::TARGET_PHASE_REVERTED ||
        (pair.phase() == chaos::v1::TARGET_PHASE_LOST && report.left_out().events() > 0);
    if (any && was_armed && !ended.contains(pair.target_id())) active.insert(pair.target_id());
  }
  std::vector<std::string> unmeasured;
  std::ranges::set_difference(active, measured, std::back_inserter(unmeasured));
  return unmeasured;
}

void Summarize(bool keep_histograms, Report* report) {
  AddTargetEvents(report);
  for (auto& target : *report->mutable_targets()) {
    AddMeasurements(target.before(), report->mutable_before());
    AddMeasurements(target.during(), report->mutable_during());
    AddMeasurements(target.after(), report->mutable_after());
    for (auto* phase : {target.mutable_before(), target.mutable_during(), target.mutable_after()}) {
      SummarizePhase(keep_histograms, phase);
    }
  }
  AddParameters(report);  // while the histograms are there
  AddEffects(keep_histograms, report);
  AddWhatIsLeftOut(keep_histograms, report);
  for (auto* phase :
       {report->mutable_before(), report->mutable_during(), report->mutable_after()}) {
    SummarizePhase(keep_histograms, phase);
  }
  for (std::string& target : UnmeasuredTargets(report->experiment(), *report)) {
    report->add_unmeasured_targets(std::move(target));
  }
}

}  // namespace faultline::server
