#include "base/measurements.h"

#include <algorithm>

#include "base/histogram.h"
#include "base/traffic.h"

namespace faultline {

using chaos::v1::Measurements;
using chaos::v1::ReportPoint;

namespace {

constexpr uint64_t kLeastGapMs = 1'000;
constexpr uint64_t kGapOfPoint = 4;

}  // namespace

void AddMeasurements(const Measurements& from, Measurements* into) {
  into->set_duration_ns(into->duration_ns() + from.duration_ns());
  MergeSparse(from.latency(), into->mutable_latency()).IgnoreError();
  into->set_not_measurable(into->not_measurable() + from.not_measurable());
  if (into->not_measurable_reason().empty()) {
    into->set_not_measurable_reason(from.not_measurable_reason());
  }
  into->set_packets(into->packets() + from.packets());
  into->set_bytes(into->bytes() + from.bytes());
  if (from.has_traffic()) MergeTraffic(from.traffic(), into->mutable_traffic());
}

void AddSums(const chaos::v1::FaultEffect& from, chaos::v1::FaultEffect* into) {
  into->set_batches(into->batches() + from.batches());
  into->set_sum_delayed_squared(into->sum_delayed_squared() + from.sum_delayed_squared());
  into->set_sum_given_squared(into->sum_given_squared() + from.sum_given_squared());
  into->set_sum_delayed_given(into->sum_delayed_given() + from.sum_delayed_given());
  if (from.has_given()) MergeSparse(from.given(), into->mutable_given()).IgnoreError();
  into->set_given_no_room(into->given_no_room() + from.given_no_room());
}

Measurements ToMeasurements(const chaos::v1::TargetSample& sample, uint64_t interval_ns) {
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

uint64_t GapMs(const ReportPoint& before, const ReportPoint& after) {
  const uint64_t end_ms = before.offset_ms() + before.length_ms();
  const uint64_t gap_ms = after.offset_ms() - std::min(after.offset_ms(), end_ms);
  const uint64_t least_ms = std::max(kLeastGapMs, after.length_ms() / kGapOfPoint);
  return gap_ms < least_ms ? 0 : gap_ms;
}

}  // namespace faultline
