#include "server/target_course.h"

#include "base/histogram.h"
#include "control/report_parts.h"

namespace faultline::server {

using chaos::v1::FaultCounters;
using chaos::v1::Measurements;
using chaos::v1::TargetSample;
using control::AddMeasurements;

namespace {

Measurements ToMeasurements(const TargetSample& sample, uint64_t interval_ns) {
  Measurements measured;
  measured.set_duration_ns(interval_ns);
  *measured.mutable_latency() = sample.latency();
  measured.set_not_measurable(sample.not_measurable());
  measured.set_not_measurable_reason(sample.not_measurable_reason());
  measured.set_packets(sample.packets());
  measured.set_bytes(sample.bytes());
  if (sample.has_traffic()) *measured.mutable_traffic() = sample.traffic();
  return measured;
}

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

void Baseline::Add(const TargetSample& sample, uint64_t interval_ns) {
  if (sample.faults_size() > 0) return;
  if (slots_.empty() || slots_.back().duration_ns() >= kSlotNs) slots_.emplace_back();
  AddMeasurements(ToMeasurements(sample, interval_ns), &slots_.back());
  length_ns_ += interval_ns;
  while (slots_.size() > 1 && length_ns_ - slots_.front().duration_ns() >= kept_ns_) {
    length_ns_ -= slots_.front().duration_ns();
    slots_.pop_front();
  }
}

TargetCourse::TargetCourse(const Baseline& before) {
  for (const Measurements& slot : before.slots()) {
    AddMeasurements(slot, &before_);
    AddPoint(chaos::v1::REPORT_PHASE_BEFORE, slot, 0);
  }
}

void TargetCourse::Add(const std::string& experiment_id, const TargetSample& sample,
                       uint64_t interval_ns) {
  if (closed()) return;
  ++batches_;
  bool on = false;
  uint64_t dropped = 0;
  for (const FaultCounters& counters : sample.faults()) {
    if (counters.experiment_id() != experiment_id) continue;
    on = true;
    AddEffect(counters, &dropped);
  }
  for (const auto& delays : sample.fault_delays()) {
    if (delays.experiment_id() == experiment_id) AddDelays(delays);
  }
  const Measurements measured = ToMeasurements(sample, interval_ns);
  if (on) after_.Clear();  // it was only interrupted
  AddMeasurements(measured, on ? &during_ : &after_);
  AddPoint(on ? chaos::v1::REPORT_PHASE_DURING : chaos::v1::REPORT_PHASE_AFTER, measured, dropped);
}

void TargetCourse::AddEffect(const FaultCounters& counters, uint64_t* dropped) {
  Effect& effect = effects_[counters.fault_index()];
  FaultCounters growth;
  AddGrowth(effect.last, counters, &growth);
  AddGrowth({}, growth, effect.sum.mutable_counters());
  effect.sum.mutable_counters()->set_experiment_id(counters.experiment_id());
  effect.sum.mutable_counters()->set_fault_index(counters.fault_index());
  effect.last = counters;
  *dropped += growth.dropped();
  // Not those that were held back in this batch: their delay comes with a later one.
  if (growth.delays_measured() == 0) return;
  const double delayed = static_cast<double>(growth.delays_measured()) / 1e3;
  const double given = static_cast<double>(growth.delay_given_ns()) / 1e9;
  effect.sum.set_batches(effect.sum.batches() + 1);
  effect.sum.set_sum_delayed_squared(effect.sum.sum_delayed_squared() + delayed * delayed);
  effect.sum.set_sum_given_squared(effect.sum.sum_given_squared() + given * given);
  effect.sum.set_sum_delayed_given(effect.sum.sum_delayed_given() + delayed * given);
}

void TargetCourse::AddDelays(const chaos::v1::FaultDelays& delays) {
  auto& sum = effects_[delays.fault_index()].sum;
  MergeSparse(delays.given(), sum.mutable_given()).IgnoreError();  // as AddMeasurements
  sum.set_given_no_room(sum.given_no_room() + delays.no_room());
}

void TargetCourse::AddPoint(chaos::v1::ReportPhase phase, const Measurements& measured,
                            uint64_t dropped) {
  if (points_.empty() || points_.back().phase != phase ||
      points_.back().measured.duration_ns() >= point_ns_) {
    if (points_.size() >= kMaxPoints) HalvePoints();
    points_.push_back({phase, {}, 0});
  }
  AddMeasurements(measured, &points_.back().measured);
  points_.back().measured.clear_traffic();  // no point tells of it
  points_.back().dropped += dropped;
}

void TargetCourse::HalvePoints() {
  point_ns_ *= 2;
  std::vector<Point> fewer;
  for (Point& point : points_) {
    if (!fewer.empty() && fewer.back().phase == point.phase &&
        fewer.back().measured.duration_ns() < point_ns_) {
      AddMeasurements(point.measured, &fewer.back().measured);
      fewer.back().dropped += point.dropped;
    } else {
      fewer.push_back(std::move(point));
    }
  }
  points_ = std::move(fewer);
}

std::vector<TargetCourse::Point> TargetCourse::PointsWithin(size_t max_points) const {
  if (points_.size() <= max_points) return points_;
  constexpr int kMaxHalvings = 20;
  TargetCourse coarser = *this;
  for (int i = 0; i < kMaxHalvings && coarser.points_.size() > max_points; ++i) {
    coarser.HalvePoints();
  }
  return std::move(coarser.points_);
}

chaos::v1::TargetReport TargetCourse::ToReport(size_t max_points) const {
  chaos::v1::TargetReport report;
  *report.mutable_before() = before_;
  *report.mutable_during() = during_;
  *report.mutable_after() = after_;
  report.set_batches(batches_);
  report.set_missing_batches(missing_batches_);
  for (const auto& [index, effect] : effects_) {
    *report.add_faults() = effect.sum;
    report.mutable_faults()->rbegin()->set_fault_index(index);
  }
  uint64_t offset_ns = 0;
  for (const Point& point : PointsWithin(max_points)) {
    Histogram histogram;
    histogram.Merge(point.measured.latency()).IgnoreError();  // merged before
    auto* out = report.add_points();
    out->set_phase(point.phase);
    out->set_offset_ms(offset_ns / 1'000'000);
    out->set_length_ms(point.measured.duration_ns() / 1'000'000);
    out->set_p50_ms(histogram.PercentileNs(50) / 1e6);
    out->set_p99_ms(histogram.PercentileNs(99) / 1e6);
    out->set_requests(histogram.count());
    out->set_packets(point.measured.packets());
    out->set_dropped(point.dropped);
    offset_ns += point.measured.duration_ns();
  }
  return report;
}

}  // namespace faultline::server
