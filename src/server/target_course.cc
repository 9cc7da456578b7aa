#include "server/target_course.h"

#include <algorithm>
#include <iterator>

#include "base/histogram.h"
#include "base/measurements.h"
#include "control/report_course.h"

namespace faultline::server {

using chaos::v1::Measurements;
using chaos::v1::TargetSample;

TargetCourse::TargetCourse(const Baseline& baseline, const std::string& experiment_id,
                           const BatchTime& first, bool follows)
    : begin_(baseline.BeginOf(experiment_id, first)), follows_(follows) {
  AddBefore(baseline);
  last_.incarnation = begin_.incarnation();
  last_.sequence = begin_.sequence() - 1;
  last_.end_unix_ns = begin_.unix_ns();
}

void TargetCourse::AddBefore(const Baseline& baseline) {
  const auto& slots = baseline.kept().slots();
  const auto is_before = [this](const chaos::v1::BaselineSlot& slot) {
    return IsBefore(slot, begin_.incarnation(), begin_.sequence())
        .value_or(slot.begin_unix_ns() < begin_.unix_ns());
  };
  // Those that are later are of times in which the fault was interrupted.
  auto end = slots.end();
  while (end != slots.begin() && !is_before(*std::prev(end))) --end;
  // Back from the fault to the oldest one. `next` is what follows: a batch without a gap before it
  // follows at once, whatever the clock shows.
  BatchTime next{begin_.incarnation(), begin_.sequence(), begin_.unix_ns()};
  uint64_t since_ns = 0;
  auto first = end;
  for (; first != slots.begin(); --first) {
    const auto& slot = *std::prev(first);
    const bool follows = slot.incarnation() == next.incarnation && slot.last() + 1 == next.sequence;
    const uint64_t gap_ns = follows ? 0 : SinceNs(slot.end_unix_ns(), next.begin_unix_ns);
    if (since_ns + gap_ns > kOldestNs) break;
    since_ns += gap_ns + slot.measured().duration_ns();
    before_age_ns_ += gap_ns;
    next = {slot.incarnation(), slot.first(), slot.begin_unix_ns()};
  }
  for (; first != end; ++first) {
    AddMeasurements(first->measured(), &before_);
    AddPoint(chaos::v1::REPORT_PHASE_BEFORE, first->measured(), 0);
  }
}

bool TargetCourse::StepTo(const BatchTime& when) {
  const bool next = when.incarnation == last_.incarnation && when.sequence == last_.sequence + 1;
  if (!next) axis_ns_ += SinceNs(last_.end_unix_ns, when.begin_unix_ns);
  last_ = when;
  return next;
}

std::vector<TargetCourse::Range>::iterator TargetCourse::RangeOf(uint64_t incarnation) {
  return std::find_if(ranges_.begin(), ranges_.end(), [&](const Range& known) {
    return known.batches.incarnation() == incarnation;
  });
}

// Batches without the target, because it has no place now, may lie in between.
FaultCourse::Followed TargetCourse::FollowedBy(const BatchTime& when, uint64_t came) {
  if (batches_ == 0) return follows_ ? FaultCourse::Followed(when.sequence - 1) : std::nullopt;
  if (when.incarnation != last_.incarnation) return std::nullopt;
  const uint64_t passed = when.sequence - last_.sequence;
  const auto range = RangeOf(when.incarnation);
  const bool all_came = range != ranges_.end() && came - range->came == passed;
  return passed == 1 || all_came ? FaultCourse::Followed(last_.sequence) : std::nullopt;
}

void TargetCourse::CountBatch(const BatchTime& when, uint64_t came) {
  ++batches_;
  auto range = RangeOf(when.incarnation);
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
  const bool first = batches_ == 0;
  const FaultCourse::Followed follows = FollowedBy(when, came);
  const bool next = StepTo(when);
  CountBatch(when, came);
  const auto lost = AddFaults(experiment_id, sample, when, follows);
  const Measurements measured = ToMeasurements(sample, when.interval_ns);
  if (lost) ForgetAfter();  // it was only interrupted
  if (AddOthers(experiment_id, sample, when, lost.has_value()) && !lost) {
    axis_ns_ += measured.duration_ns();
    return;
  }
  AddMeasurements(measured, lost ? &during_ : &after_);
  // Else it is what the fault has done since it was armed, before anything was measured here.
  const bool since_last = !first || next;
  AddPoint(lost ? chaos::v1::REPORT_PHASE_DURING : chaos::v1::REPORT_PHASE_AFTER, measured,
           since_last ? lost.value_or(0) : 0);
}

std::optional<uint64_t> TargetCourse::AddFaults(const std::string& experiment_id,
                                                const TargetSample& sample, const BatchTime& when,
                                                FaultCourse::Followed follows) {
  std::optional<uint64_t> lost;
  for (const auto& counters : sample.faults()) {
    if (counters.experiment_id() != experiment_id) continue;
    lost = lost.value_or(0) + faults_[counters.fault_index()].Add(counters, when, follows);
  }
  for (auto& [index, fault] : faults_) {
    if (follows) fault.EndUnlessIn(when, *follows);
  }
  for (const auto& delays : sample.fault_delays()) {
    if (delays.experiment_id() == experiment_id) faults_[delays.fault_index()].AddDelays(delays);
  }
  return lost;
}

bool TargetCourse::AddOthers(const std::string& experiment_id, const TargetSample& sample,
                             const BatchTime& when, bool during) {
  bool any = false;
  for (const auto& counters : sample.faults()) {
    const std::string& id = counters.experiment_id();
    if (id.empty() || id == experiment_id) continue;
    any = true;
    auto other = std::find_if(others_.begin(), others_.end(),
                              [&](const auto& known) { return known.experiment_id() == id; });
    if (other == others_.end()) {
      if (others_.size() >= control::kMaxOthers) continue;
      other = others_.emplace(other);
      other->set_experiment_id(id);
      other->set_unix_ns(when.begin_unix_ns);
    }
    during ? other->set_during(true) : other->set_after(true);
  }
  return any;
}

void TargetCourse::ForgetAfter() {
  after_.Clear();
  for (auto& other : others_) other.set_after(false);
  std::erase_if(others_, [](const auto& other) { return !other.during(); });
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
  for (const auto& [index, fault] : faults_) {
    *report.add_faults() = fault.ToEffect();
    report.mutable_faults()->rbegin()->set_fault_index(index);
  }
  for (const auto& other : others_) *report.add_others() = other;
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
    out->set_not_measurable(point.measured.not_measurable());
  }
  return report;
}

}  // namespace faultline::server
