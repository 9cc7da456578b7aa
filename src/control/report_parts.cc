#include "control/report_parts.h"

#include <algorithm>
#include <array>

#include "base/measurements.h"
#include "base/traffic.h"
#include "control/report_armings.h"
#include "control/report_course.h"
#include "control/report_fit.h"

namespace faultline::control {
namespace {

using chaos::v1::FaultEffect;
using chaos::v1::LeftOut;
using chaos::v1::Measurements;
using chaos::v1::Report;
using chaos::v1::ReportEvent;
using chaos::v1::TargetReport;

void AddEffect(const FaultEffect& from, TargetReport* target) {
  for (FaultEffect& into : *target->mutable_faults()) {
    if (into.fault_index() != from.fault_index()) continue;
    MergeCounters(from, &into);
    AddSums(from, &into);
    return;
  }
  *target->add_faults() = from;
}

bool HasPartOf(const TargetReport& target, const TargetReport& part) {
  const auto& nodes = target.node_ids();
  return std::any_of(part.node_ids().begin(), part.node_ids().end(), [&](uint64_t node) {
    return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
  });
}

void AddPhase(const Measurements& from, Measurements* into) {
  AddMeasurements(from, into);
  into->set_requests(into->requests() + from.requests());
  into->set_handshakes(into->handshakes() + from.handshakes());
}

// What one of both gave up the other one gives up too.
void MergeWhatIsLeftOut(const TargetReport& from, TargetReport* into, LeftOut* left_out) {
  into->set_baseline_ms(std::max(into->baseline_ms(), from.baseline_ms()));
  into->set_points_left_out(into->points().empty() &&
                            (into->points_left_out() || from.points_left_out()));
  into->set_events_left_out(into->events_left_out() || from.events_left_out());
  if (into->histograms_left_out() || from.histograms_left_out()) {
    into->set_histograms_left_out(true);
    GiveUpHistograms(into, left_out);
  }
}

// Of parts without a clock, which versions before kTimesVersion make: each has its own "before",
// and two courses that cannot be put on one axis, of which the longer one is shown.
void AddCourse(const TargetReport& from, TargetReport* into) {
  AddPhase(from.before(), into->mutable_before());
  if (from.points_size() > into->points_size()) *into->mutable_points() = from.points();
  into->set_batches(into->batches() + from.batches());
  into->set_missing_batches(into->missing_batches() + from.missing_batches());
}

void MergeTarget(const TargetReport& from, TargetReport* into, Report* report) {
  if (HasPartOf(*into, from)) return;
  if (ShareAClock(from, *into)) {
    MergeCourse(from, into);
  } else {
    AddCourse(from, into);
  }
  AddPhase(from.during(), into->mutable_during());
  AddPhase(from.after(), into->mutable_after());
  for (const FaultEffect& effect : from.faults()) AddEffect(effect, into);
  into->mutable_node_ids()->MergeFrom(from.node_ids());
  MergeWhatIsLeftOut(from, into, report->mutable_left_out());
}

std::array<Measurements*, 3> PhasesOf(TargetReport* target) {
  return {target->mutable_before(), target->mutable_during(), target->mutable_after()};
}

// Before kLeftOutVersion: who comes when there is no more room comes without histograms and points.
void Shrink(const Report& report, TargetReport* part) {
  if (report.ByteSizeLong() + part->ByteSizeLong() <= kMaxReportBytes) return;
  for (auto* phase : PhasesOf(part)) {
    phase->clear_latency();
    if (!phase->has_traffic()) continue;
    ClearHistograms(phase->mutable_traffic());
    LoseEvents(phase->mutable_traffic());
  }
  part->clear_points();
}

auto PlaceOf(const std::string& target_id, Report* report) {
  auto* targets = report->mutable_targets();
  return std::lower_bound(targets->begin(), targets->end(), target_id,
                          [](const auto& a, const auto& id) { return a.target_id() < id; });
}

void AddTarget(TargetReport part, uint32_t version, Report* report) {
  if (version < kLeftOutVersion) Shrink(*report, &part);
  auto* targets = report->mutable_targets();
  const auto at = PlaceOf(part.target_id(), report);
  if (at != targets->end() && at->target_id() == part.target_id()) {
    return MergeTarget(part, &*at, report);
  }
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

// False when there is no room for it.
bool AddEvent(const ReportEvent& event, Report* report) {
  const auto& events = report->events();
  const bool known = std::any_of(events.begin(), events.end(),
                                 [&](const ReportEvent& other) { return IsSame(event, other); });
  if (known) return true;
  if (events.size() >= kMaxReportEvents) return false;
  *report->add_events() = event;
  return true;
}

// Whoever has reported one of its targets has reported this part.
bool IsRepeated(const ::control::v1::RecordReport& part, Report* report) {
  return std::any_of(part.targets().begin(), part.targets().end(), [&](const auto& target) {
    const auto at = PlaceOf(target.target_id(), report);
    return at != report->mutable_targets()->end() && at->target_id() == target.target_id() &&
           HasPartOf(*at, target);
  });
}

bool GaveUpSomething(const TargetReport& target) {
  return target.points_left_out() || target.events_left_out() || target.histograms_left_out();
}

bool TellsOfWhatIsLeftOut(const ::control::v1::RecordReport& part) {
  if (part.has_left_out()) return true;
  return std::any_of(part.targets().begin(), part.targets().end(), [](const TargetReport& target) {
    return target.baseline_ms() > 0 || GaveUpSomething(target);
  });
}

bool IsAnythingLeftOut(const Report& report) {
  return report.left_out().events() > 0 ||
         std::any_of(report.targets().begin(), report.targets().end(), GaveUpSomething);
}

void ForgetWhatIsLeftOut(::control::v1::RecordReport* part) {
  part->clear_left_out();
  for (TargetReport& target : *part->mutable_targets()) {
    target.clear_baseline_ms();
    target.clear_points_left_out();
    target.clear_events_left_out();
    target.clear_histograms_left_out();
  }
}

bool TellsOfDelays(const ::control::v1::RecordReport& part) {
  return part.left_out().faults_size() > 0 ||
         std::any_of(part.targets().begin(), part.targets().end(), [](const TargetReport& target) {
           return std::any_of(
               target.faults().begin(), target.faults().end(),
               [](const auto& effect) { return effect.has_given() || effect.given_no_room() > 0; });
         });
}

void ForgetDelays(::control::v1::RecordReport* part) {
  if (part->has_left_out()) part->mutable_left_out()->clear_faults();
  for (TargetReport& target : *part->mutable_targets()) {
    for (FaultEffect& effect : *target.mutable_faults()) {
      effect.clear_given();
      effect.clear_given_no_room();
    }
  }
}

bool TellsOfTimes(const ::control::v1::RecordReport& part) {
  return std::any_of(part.targets().begin(), part.targets().end(), [](const TargetReport& target) {
    return target.fault_unix_ns() != 0 || target.before_age_ms() != 0 || !target.ranges().empty();
  });
}

bool TellsOfArmings(const ::control::v1::RecordReport& part) {
  return std::any_of(part.targets().begin(), part.targets().end(), [](const TargetReport& target) {
    return !target.others().empty() ||
           std::any_of(target.faults().begin(), target.faults().end(),
                       [](const FaultEffect& effect) { return effect.by_arming(); }) ||
           std::any_of(target.points().begin(), target.points().end(),
                       [](const auto& point) { return point.not_measurable() > 0; });
  });
}

void ForgetArmings(::control::v1::RecordReport* part) {
  for (TargetReport& target : *part->mutable_targets()) {
    target.clear_others();
    for (auto& point : *target.mutable_points()) point.clear_not_measurable();
    for (FaultEffect& effect : *target.mutable_faults()) {
      effect.clear_armings();
      effect.clear_by_arming();
    }
  }
}

// What is left is added up: "before" is then told only by the node that has seen the fault begin.
void ForgetTimes(::control::v1::RecordReport* part) {
  for (TargetReport& target : *part->mutable_targets()) {
    if (BeganElsewhere(target)) target.clear_before();
    target.clear_fault_unix_ns();
    target.clear_before_age_ms();
    target.clear_ranges();
  }
}

}  // namespace

uint32_t VersionOf(const ::control::v1::RecordReport& part) {
  if (TellsOfArmings(part)) return kArmingsVersion;
  if (TellsOfTimes(part)) return kTimesVersion;
  if (TellsOfDelays(part)) return kDelaysVersion;
  if (TellsOfWhatIsLeftOut(part)) return kLeftOutVersion;
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
  if (version < kArmingsVersion) ForgetArmings(part);
  if (version < kDelaysVersion) ForgetDelays(part);
  if (version < kTimesVersion) ForgetTimes(part);
  if (version < kLeftOutVersion) ForgetWhatIsLeftOut(part);
  if (version >= kEventsVersion) return;
  for (TargetReport& target : *part->mutable_targets()) {
    for (auto* phase : PhasesOf(&target)) {
      if (version < kTrafficVersion) phase->clear_traffic();
      if (phase->has_traffic()) ForgetEvents(phase->mutable_traffic());
    }
  }
}

void AddToReport(const ::control::v1::RecordReport& part, uint32_t version, Report* report) {
  const bool repeated = IsRepeated(part, report);
  for (const TargetReport& target : part.targets()) AddTarget(target, version, report);
  uint64_t no_room = 0;
  for (const ReportEvent& event : part.events()) no_room += AddEvent(event, report) ? 0 : 1;
  if (version < kLeftOutVersion) return report->clear_left_out();
  LeftOut* left_out = report->mutable_left_out();
  if (!repeated) AddLeftOut(part.left_out(), left_out);
  // Leaders before this one, and this one again, tell of the same events.
  left_out->set_events(std::max(left_out->events(), part.left_out().events() + no_room));
  Fit(report);
  if (!IsAnythingLeftOut(*report)) report->clear_left_out();
}

}  // namespace faultline::control
