#include "agent/metrics_buffer.h"

#include <algorithm>
#include <utility>

namespace faultline::agent {
namespace {

bool IsQuiet(const chaos::v1::TargetSample& sample) {
  return sample.packets() == 0 && sample.faults().empty() && sample.not_measurable() == 0 &&
         sample.latency().index().empty() && !sample.has_traffic();
}

}  // namespace

MetricsBuffer::MetricsBuffer(std::string agent_id, uint64_t incarnation, size_t limit)
    : agent_id_(std::move(agent_id)), incarnation_(incarnation), limit_(limit) {}

size_t MetricsBuffer::Add(std::vector<chaos::v1::TargetSample> samples, int64_t unix_now_ns,
                          uint64_t interval_ns) {
  const bool quiet = std::all_of(samples.begin(), samples.end(), IsQuiet);
  Reading reading{std::move(samples), unix_now_ns, interval_ns};
  if (quiet) {
    if (quiet_) reading.length_ns += quiet_->length_ns;
    quiet_ = std::move(reading);
    if (quiet_->length_ns < kQuietNs) return 0;
    MakeBatch(*std::exchange(quiet_, std::nullopt));
    return 1;
  }
  const size_t made = quiet_ ? 2 : 1;
  if (quiet_) MakeBatch(*std::exchange(quiet_, std::nullopt));
  MakeBatch(std::move(reading));
  return made;
}

void MetricsBuffer::MakeBatch(Reading reading) {
  if (kept_.size() == limit_) kept_.pop_front();
  chaos::v1::MetricsBatch& batch = kept_.emplace_back();
  batch.mutable_position()->set_agent_id(agent_id_);
  batch.mutable_position()->set_incarnation(incarnation_);
  batch.mutable_position()->set_sequence(++sequence_);
  batch.set_timestamp_ns(reading.unix_end_ns);
  batch.set_interval_ns(reading.length_ns);
  for (auto& sample : reading.samples) *batch.add_samples() = std::move(sample);
}

}  // namespace faultline::agent
