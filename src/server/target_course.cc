#include "server/target_course.h"

#include <algorithm>

#include "base/histogram.h"
#include "base/measurements.h"
#include "control/report_course.h"

namespace faultline::server {

using chaos::v1::FaultCounters;
using chaos::v1::Measurements;
using chaos::v1::TargetSample;

namespace {

// into[field] += now[field] - last[field] for every counter; those that fell began anew.
void AddGrowth(const FaultCounters& last, const FaultCounters& now, FaultCounters* into) {
  const auto* reflection = FaultCounters::GetReflection();
  const auto* descriptor = FaultCounters::descriptor();
  const bool anew = now.matched() < last.matched();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const auto* field = descriptor->field(i);
    if (field->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_UINT64) continue;
    const uint64_t before = anew ? 0 : reflection->GetUInt64(last, field);
    const uint64_t value = reflection->GetUInt64(now, field);
    const uint64_t growth = value > before ? value - before : 0;
    reflection->SetUInt64(into, field, reflection->GetUInt64(*into, field) + growth);
  }
}

}  // namespace

TargetCourse::TargetCourse(const Baseline& baseline, const std::string& experiment_id,
                           const BatchTime& first)
    : begin_(baseline.BeginOf(experiment_id, first)) {
  AddBefore(baseline);
  last_.incarnation = begin_.incarnation();
  last_.sequence = begin_.sequence() - 1;
  last_.end_unix_ns = begin_.unix_ns();
}

void TargetCourse::AddBefore(const Baseline& baseline) {
  for (const auto& slot : baseline.kept().slots()) {
    // Those that are later are of times in which the fault was interrupted.
    if (slot.begin_unix_ns() >= begin_.unix_ns()) continue;
    if (SinceNs(slot.end_unix_ns(), begin_.unix_ns()) > kOldestNs) continue;
    if (before_.duration_ns() == 0) {
      before_age_ns_ = SinceNs(slot.begin_unix_ns(), begin_.unix_ns());
    }
    AddMeasurements(slot.measured(), &before_);
    AddPoint(chaos::v1::REPORT_PHASE_BEFORE, slot.measured(), 0);
  }
  before_age_ns_ -= std::min(before_age_ns_, before_.duration_ns());
}

void TargetCourse::StepTo(const BatchTime& when) {
  const bool next = when.incarnation == last_.incarnation && when.sequence == last_.sequence + 1;
  if (!next) axis_ns_ += SinceNs(last_.end_unix_ns, when.begin_unix_ns);
  last_ = when;
}

void TargetCourse::CountBatch(const BatchTime& when, uint64_t came) {
  ++batches_;
  auto range = std::find_if(ranges_.begin(), ranges_.end(), [&](const Range& known) {
    return known.batches.incarnation() == when.incarnation;
  });
  if (range == ranges_.end()) {
    if (ranges_.size() >= kMaxRanges) return;
    range = ranges_.insert(range, Range{{}, came - 1});
    const bool of_begin = when.incarnation == begin_.incarnation();
    range->batches.set_incarnation(when.incarnation);
    range->batches.set_first(of_begin ? std::min(begin_.sequence(), when.sequence) : when.sequence);
  }
  range->batches.set_last(when.sequence);
  range->batches.set_came(range->batches.came() + (came > range->came ? came - range->came : 1));
  range->came = came;
}

void TargetCourse::Add(const std::string& experiment_id, const TargetSample& sample,
                       const BatchTime& when, uint64_t came) {
  if (closed()) return;
  StepTo(when);
  CountBatch(when, came);
  bool on = false;
  uint64_t dropped = 0;
  const bool from_elsewhere = batches_ == 1 && (when.incarnation != begin_.incarnation() ||
                                                when.sequence != begin_.sequence());
  for (const FaultCounters& counters : sample.faults()) {
    if (counters.experiment_id() != experiment_id) continue;
    on = true;
    const uint64_t lost = AddEffect(counters);
    // Else it is what the fault has done since it was armed, before anything was measured here.
    if (!from_elsewhere) dropped += lost;
  }
  for (const auto& delays : sample.fault_delays()) {
    if (delays.experiment_id() == experiment_id) AddDelays(delays);
  }
  const Measurements measured = ToMeasurements(sample, when.interval_ns);
  if (on) after_.Clear();  // it was only interrupted
  AddMeasurements(measured, on ? &during_ : &after_);
  AddPoint(on ? chaos::v1::REPORT_PHASE_DURING : chaos::v1::REPORT_PHASE_AFTER, measured, dropped);
}

uint64_t TargetCourse::AddEffect(const FaultCounters& counters) {
  Effect& effect = effects_[counters.fault_index()];
  FaultCounters growth;
  AddGrowth(effect.last, counters, &growth);
  AddGrowth({}, growth, effect.sum.mutable_counters());
  effect.sum.mutable_counters()->set_experiment_id(counters.experiment_id());
  effect.sum.mutable_counters()->set_fault_index(counters.fault_index());
  effect.last = counters;
  // Not those that were held back in this batch: their delay comes with a later one.
  if (growth.delays_measured() == 0) return growth.dropped();
  const double delayed = static_cast<double>(growth.delays_measured()) / 1e3;
  const double given = static_cast<double>(growth.delay_given_ns()) / 1e9;
  effect.sum.set_batches(effect.sum.batches() + 1);
  effect.sum.set_sum_delayed_squared(effect.sum.sum_delayed_squared() + delayed * delayed);
  effect.sum.set_sum_given_squared(effect.sum.sum_given_squared() + given * given);
  effect.sum.set_sum_delayed_given(effect.sum.sum_delayed_given() + delayed * given);
  return growth.dropped();
}

void TargetCourse::AddDelays(const chaos::v1::FaultDelays& delays) {
  auto& sum = effects_[delays.fault_index()].sum;
  MergeSparse(delays.given(), sum.mutable_given()).IgnoreError();  // as AddMeasurements
  sum.set_given_no_room(sum.given_no_room() + delays.no_room());
}

void TargetCourse::AddPoint(chaos::v1::ReportPhase phase, const Measurements& measured,
                            uint64_t dropped) {
  if (points_.empty() || !Joins(points_.back(), phase, axis_ns_)) {
    if (points_.size() >= kMaxPoints) HalvePoints();
    points_.push_back({phase, axis_ns_, axis_ns_, {}, 0});
  }
  axis_ns_ += measured.duration_ns();
  points_.back().end_ns = axis_ns_;
  AddMeasurements(measured, &points_.back().measured);
  points_.back().measured.clear_traffic();  // no point tells of it
  points_.back().dropped += dropped;
}

// A gap is shown as long as it is no shorter than points are.
bool TargetCourse::Joins(const Point& point, chaos::v1::ReportPhase phase,
                         uint64_t begin_ns) const {
  return point.phase == phase && point.measured.duration_ns() < point_ns_ &&
         begin_ns - point.end_ns < point_ns_;
}

void TargetCourse::JoinInto(const Point& point, Point* into) {
  if (point.phase == chaos::v1::REPORT_PHASE_DURING) into->phase = point.phase;
  AddMeasurements(point.measured, &into->measured);
  into->end_ns = point.end_ns;
  into->dropped += point.dropped;
}

void TargetCourse::HalvePoints() {
  point_ns_ = std::min(2 * point_ns_, kLongestPointNs);
  const size_t before = points_.size();
  std::vector<Point> fewer;
  for (Point& point : points_) {
    if (!fewer.empty() && Joins(fewer.back(), point.phase, point.begin_ns)) {
      JoinInto(point, &fewer.back());
    } else {
      fewer.push_back(std::move(point));
    }
  }
  points_ = std::move(fewer);
  if (points_.size() < before) return;
  // A fault that comes and goes all the time: of two phases the fault's is told.
  for (size_t i = 1; i < points_.size(); ++i) {
    if (i % 2 == 0) {
      points_[i / 2] = std::move(points_[i]);
    } else {
      JoinInto(points_[i], &points_[i / 2]);
    }
  }
  points_.erase(points_.begin() + static_cast<long>((points_.size() + 1) / 2), points_.end());
}

std::vector<TargetCourse::Point> TargetCourse::PointsWithin(size_t max_points) const {
  if (points_.size() <= max_points) return points_;
  TargetCourse coarser = *this;
  while (coarser.points_.size() > std::max<size_t>(max_points, 1)) coarser.HalvePoints();
  return std::move(coarser.points_);
}

chaos::v1::TargetReport TargetCourse::ToReport(size_t max_points) const {
  chaos::v1::TargetReport report;
  *report.mutable_before() = before_;
  *report.mutable_during() = during_;
  *report.mutable_after() = after_;
  report.set_fault_unix_ns(begin_.unix_ns());
  report.set_before_age_ms(before_age_ns_ / 1'000'000);
  report.set_batches(batches_);
  for (const Range& range : ranges_) *report.add_ranges() = range.batches;
  report.set_missing_batches(control::MissingOfRanges(report));
  for (const auto& [index, effect] : effects_) {
    *report.add_faults() = effect.sum;
    report.mutable_faults()->rbegin()->set_fault_index(index);
  }
  for (const Point& point : PointsWithin(max_points)) {
    Histogram histogram;
    histogram.Merge(point.measured.latency()).IgnoreError();  // merged before
    auto* out = report.add_points();
    out->set_phase(point.phase);
    out->set_offset_ms(point.begin_ns / 1'000'000);
    out->set_length_ms(point.measured.duration_ns() / 1'000'000);
    out->set_p50_ms(histogram.PercentileNs(50) / 1e6);
    out->set_p99_ms(histogram.PercentileNs(99) / 1e6);
    out->set_requests(histogram.count());
    out->set_packets(point.measured.packets());
    out->set_dropped(point.dropped);
  }
  return report;
}

}  // namespace faultline::server
