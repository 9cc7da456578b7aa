#include "control/report_parts.h"

#include <algorithm>
#include <array>

#include "base/histogram.h"
#include "base/traffic.h"

namespace faultline::control {
namespace {

using chaos::v1::FaultCounters;
using chaos::v1::FaultEffect;
using chaos::v1::ReportEvent;
using chaos::v1::TargetReport;

// Both have counted since the fault was armed: whoever saw more saw it longer.
void AddCounters(const FaultCounters& from, FaultCounters* into) {
  if (from.matched() > into->matched()) *into = from;
}

void AddEffect(const FaultEffect& from, TargetReport* target) {
  for (FaultEffect& into : *target->mutable_faults()) {
    if (into.fault_index() != from.fault_index()) continue;
    AddCounters(from.counters(), into.mutable_counters());
    into.set_batches(into.batches() + from.batches());
    into.set_sum_delayed_squared(into.sum_delayed_squared() + from.sum_delayed_squared());
    into.set_sum_given_squared(into.sum_given_squared() + from.sum_given_squared());
    into.set_sum_delayed_given(into.sum_delayed_given() + from.sum_delayed_given());
    return;
  }
  *target->add_faults() = from;
}

void MergeTarget(const TargetReport& from, TargetReport* into) {
  const auto& nodes = into->node_ids();
  for (const uint64_t node : from.node_ids()) {
    if (std::find(nodes.begin(), nodes.end(), node) != nodes.end()) return;
  }
  AddMeasurements(from.before(), into->mutable_before());
  AddMeasurements(from.during(), into->mutable_during());
  AddMeasurements(from.after(), into->mutable_after());
  for (const FaultEffect& effect : from.faults()) AddEffect(effect, into);
  // Two courses of one target cannot be put on one axis: the longer one is shown.
  if (from.points_size() > into->points_size()) *into->mutable_points() = from.points();
  into->set_batches(into->batches() + from.batches());
  into->set_missing_batches(into->missing_batches() + from.missing_batches());
  into->mutable_node_ids()->MergeFrom(from.node_ids());
}

std::array<chaos::v1::Measurements*, 3> PhasesOf(TargetReport* target) {
  return {target->mutable_before(), target->mutable_during(), target->mutable_after()};
}

void AddTarget(TargetReport part, chaos::v1::Report* report) {
  if (report->ByteSizeLong() + part.ByteSizeLong() > kMaxReportBytes) {
    for (auto* phase : PhasesOf(&part)) {
      phase->clear_latency();
      if (!phase->has_traffic()) continue;
      ClearHistograms(phase->mutable_traffic());
      LoseEvents(phase->mutable_traffic());
    }
    part.clear_points();
  }
  auto* targets = report->mutable_targets();
  const auto at =
      std::lower_bound(targets->begin(), targets->end(), part,
                       [](const auto& a, const auto& b) { return a.target_id() < b.target_id(); });
  if (at != targets->end() && at->target_id() == part.target_id()) return MergeTarget(part, &*at);
  const auto place = static_cast<int>(at - targets->begin());
  *targets->Add() = std::move(part);
  for (int i = targets->size() - 1; i > place; --i) targets->SwapElements(i, i - 1);
}

bool TellsOfEvents(const chaos::v1::TrafficDetail& traffic) {
  return traffic.events_size() > 0 || traffic.events_lost() > 0 ||
         traffic.failed_handshakes() > 0 || traffic.failed_connections() > 0;
}

void ForgetEvents(chaos::v1::TrafficDetail* traffic) {
  traffic->clear_events();
  traffic->clear_events_lost();
  traffic->clear_failed_handshakes();
  traffic->clear_failed_connections();
}

bool IsSame(const ReportEvent& a, const ReportEvent& b) {
  return a.time().seconds() == b.time().seconds() && a.time().nanos() == b.time().nanos() &&
         a.what() == b.what() && a.target_id() == b.target_id() &&
         a.fault_index() == b.fault_index();
}

void AddEvent(const ReportEvent& event, chaos::v1::Report* report) {
  const auto& events = report->events();
  if (events.size() >= kMaxReportEvents) return;
  const bool known = std::any_of(events.begin(), events.end(),
                                 [&](const ReportEvent& other) { return IsSame(event, other); });
  if (!known) *report->add_events() = event;
}

}  // namespace

void AddMeasurements(const chaos::v1::Measurements& from, chaos::v1::Measurements* into) {
  into->set_duration_ns(into->duration_ns() + from.duration_ns());
  // What is no histogram of ours is not counted.
  MergeSparse(from.latency(), into->mutable_latency()).IgnoreError();
  into->set_not_measurable(into->not_measurable() + from.not_measurable());
  if (into->not_measurable_reason().empty()) {
    into->set_not_measurable_reason(from.not_measurable_reason());
  }
  into->set_packets(into->packets() + from.packets());
  into->set_bytes(into->bytes() + from.bytes());
  if (from.has_traffic()) MergeTraffic(from.traffic(), into->mutable_traffic());
}

uint32_t VersionOf(const ::control::v1::RecordReport& part) {
  uint32_t version = kReportVersion;
  for (const TargetReport& target : part.targets()) {
    for (const auto* phase : {&target.before(), &target.during(), &target.after()}) {
      if (!phase->has_traffic()) continue;
      version =
          std::max(version, TellsOfEvents(phase->traffic()) ? kEventsVersion : kTrafficVersion);
    }
  }
  return version;
}

void FitVersion(uint32_t version, ::control::v1::RecordReport* part) {
  if (version >= kEventsVersion) return;
  for (TargetReport& target : *part->mutable_targets()) {
    for (auto* phase : PhasesOf(&target)) {
      if (version < kTrafficVersion) phase->clear_traffic();
      if (phase->has_traffic()) ForgetEvents(phase->mutable_traffic());
    }
  }
}

void AddToReport(const ::control::v1::RecordReport& part, chaos::v1::Report* report) {
  for (const TargetReport& target : part.targets()) AddTarget(target, report);
  for (const ReportEvent& event : part.events()) AddEvent(event, report);
}

}  // namespace faultline::control
