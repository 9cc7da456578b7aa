#include "control/report_course.h"

#include <algorithm>
#include <vector>

#include "base/baseline.h"

namespace faultline::control {
namespace {

using chaos::v1::BatchRange;
using chaos::v1::OtherExperiment;
using chaos::v1::ReportPoint;
using chaos::v1::TargetReport;

constexpr uint64_t kNanosPerMilli = 1'000'000;

uint64_t Less(uint64_t from, uint64_t less) { return from - std::min(from, less); }

bool IsBefore(const ReportPoint& point) { return point.phase() == chaos::v1::REPORT_PHASE_BEFORE; }

// Appends the points since the fault began, moved to where it began on another axis.
void AddSince(const TargetReport& target, uint64_t fault_offset_ms,
              std::vector<ReportPoint>* points) {
  const uint64_t own_offset_ms = FaultOffsetMs(target);
  for (const ReportPoint& point : target.points()) {
    if (IsBefore(point)) continue;
    ReportPoint& moved = points->emplace_back(point);
    moved.set_offset_ms(fault_offset_ms + Less(point.offset_ms(), own_offset_ms));
  }
}

void MergePoints(const TargetReport& from, const TargetReport& of_before, TargetReport* into) {
  if (from.points().empty()) return;
  if (into->points().empty()) {
    *into->mutable_points() = from.points();
    return;
  }
  const int64_t began_ns = std::min(from.fault_unix_ns(), into->fault_unix_ns());
  const uint64_t fault_offset_ms = FaultOffsetMs(of_before);
  std::vector<ReportPoint> points;
  for (const ReportPoint& point : of_before.points()) {
    if (IsBefore(point)) points.push_back(point);
  }
  for (const TargetReport* part : {static_cast<const TargetReport*>(into), &from}) {
    const uint64_t later_ms = SinceNs(began_ns, part->fault_unix_ns()) / kNanosPerMilli;
    AddSince(*part, fault_offset_ms + later_ms, &points);
  }
  std::stable_sort(points.begin(), points.end(), [](const ReportPoint& a, const ReportPoint& b) {
    return a.offset_ms() < b.offset_ms();
  });
  into->mutable_points()->Assign(points.begin(), points.end());
}

void MergeRange(const BatchRange& from, TargetReport* into) {
  for (BatchRange& range : *into->mutable_ranges()) {
    if (range.incarnation() != from.incarnation()) continue;
    range.set_first(std::min(range.first(), from.first()));
    range.set_last(std::max(range.last(), from.last()));
    range.set_came(range.came() + from.came());
    return;
  }
  *into->add_ranges() = from;
}

void MergeBatches(const TargetReport& from, TargetReport* into) {
  // Of starts of the agent that the ranges do not tell of.
  const uint64_t others = Less(from.missing_batches(), MissingOfRanges(from)) +
                          Less(into->missing_batches(), MissingOfRanges(*into));
  for (const BatchRange& range : from.ranges()) MergeRange(range, into);
  into->set_batches(into->batches() + from.batches());
  into->set_missing_batches(others + MissingOfRanges(*into));
}

void MergeOthers(const TargetReport& from, TargetReport* into) {
  auto* others = into->mutable_others();
  for (const OtherExperiment& other : from.others()) {
    const auto known = std::find_if(others->begin(), others->end(), [&](const auto& one) {
      return one.experiment_id() == other.experiment_id();
    });
    if (known != others->end()) {
      known->set_unix_ns(std::min(known->unix_ns(), other.unix_ns()));
      known->set_during(known->during() || other.during());
      known->set_after(known->after() || other.after());
    } else if (static_cast<size_t>(others->size()) < kMaxOthers) {
      *others->Add() = other;
    }
  }
}

// Whose "before" is the report's.
bool IsOfOther(const TargetReport& into, const TargetReport& other) {
  if (other.fault_unix_ns() != into.fault_unix_ns()) {
    return other.fault_unix_ns() < into.fault_unix_ns();
  }
  return other.before().duration_ns() > into.before().duration_ns();
}

}  // namespace

bool ShareAClock(const TargetReport& a, const TargetReport& b) {
  return a.fault_unix_ns() != 0 && b.fault_unix_ns() != 0;
}

void MergeCourse(const TargetReport& from, TargetReport* into) {
  const bool of_other = IsOfOther(*into, from);
  MergePoints(from, of_other ? from : *into, into);
  if (of_other) {
    *into->mutable_before() = from.before();
    into->set_before_age_ms(from.before_age_ms());
  }
  into->set_fault_unix_ns(std::min(into->fault_unix_ns(), from.fault_unix_ns()));
  MergeBatches(from, into);
  MergeOthers(from, into);
}

uint64_t MissingOfRanges(const TargetReport& target) {
  uint64_t holes = 0;
  for (const BatchRange& range : target.ranges()) {
    holes += Less(Less(range.last(), range.first()) + 1, range.came());
  }
  return holes;
}

uint64_t FaultOffsetMs(const TargetReport& target) {
  uint64_t end_ms = 0;
  for (const ReportPoint& point : target.points()) {
    if (IsBefore(point)) end_ms = point.offset_ms() + point.length_ms();
  }
  return end_ms;
}

bool BeganElsewhere(const TargetReport& part) {
  const auto& points = part.points();
  const auto first = std::find_if_not(points.begin(), points.end(), IsBefore);
  // Times of points are cut to whole milliseconds.
  return first != points.end() && first->offset_ms() > FaultOffsetMs(part) + 1;
}

}  // namespace faultline::control
