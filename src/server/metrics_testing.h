// Batches, and what subscribers get of them, for the tests of this folder.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "server/metrics_hub.h"

namespace faultline::server::metrics_testing {

using chaos::v1::MetricsBatch;
using chaos::v1::MetricUpdate;

// A batch 100 ms after the one before, of one target with `count` requests in one bucket.
inline MetricsBatch Batch(uint64_t sequence, unsigned bucket = 640, uint64_t count = 10,
                          const std::string& experiment = "exp-1") {
  MetricsBatch batch;
  batch.mutable_position()->set_agent_id("a");
  batch.mutable_position()->set_incarnation(1);
  batch.mutable_position()->set_sequence(sequence);
  batch.set_interval_ns(100 * kNanosPerMilli);
  batch.set_timestamp_ns(static_cast<int64_t>(kNanosPerSecond + sequence * batch.interval_ns()));
  auto* sample = batch.add_samples();
  sample->set_target_id("a/x");
  sample->set_packets(100);
  sample->mutable_latency()->set_scheme(chaos::v1::HISTOGRAM_SCHEME_LOG_LINEAR_NS_64);
  sample->mutable_latency()->add_index(bucket);
  sample->mutable_latency()->add_count(count);
  if (!experiment.empty()) {
    auto* fault = sample->add_faults();
    fault->set_experiment_id(experiment);
    fault->set_dropped(sequence);
  }
  return batch;
}

inline MetricsHub::Filter Of(const std::string& experiment) {
  MetricsHub::Filter filter;
  filter.experiment_ids = {experiment};
  return filter;
}

inline std::vector<MetricUpdate> Drain(MetricsHub::Subscription& subscription) {
  std::vector<MetricUpdate> updates;
  while (auto update = subscription.Next()) updates.push_back(*std::move(update));
  return updates;
}

}  // namespace faultline::server::metrics_testing
