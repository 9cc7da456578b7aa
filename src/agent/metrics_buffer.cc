#include "agent/metrics_buffer.h"

namespace faultline::agent {

MetricsBuffer::MetricsBuffer(std::string agent_id, uint64_t incarnation, size_t limit)
    : agent_id_(std::move(agent_id)), incarnation_(incarnation), limit_(limit) {}

const chaos::v1::MetricsBatch& MetricsBuffer::Add(std::vector<chaos::v1::TargetSample> samples,
                                                  int64_t unix_now_ns, uint64_t interval_ns) {
  if (kept_.size() == limit_) kept_.pop_front();
  chaos::v1::MetricsBatch& batch = kept_.emplace_back();
  batch.mutable_position()->set_agent_id(agent_id_);
  batch.mutable_position()->set_incarnation(incarnation_);
  batch.mutable_position()->set_sequence(++sequence_);
  batch.set_timestamp_ns(unix_now_ns);
  batch.set_interval_ns(interval_ns);
  for (auto& sample : samples) *batch.add_samples() = std::move(sample);
  return batch;
}

}  // namespace faultline::agent
