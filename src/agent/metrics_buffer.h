// Numbers the agent's metric batches and keeps the last ones, so that a new node can be given what
// the old one may not have passed on. Not thread-safe.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "chaos/v1/metrics.pb.h"

namespace faultline::agent {

class MetricsBuffer {
 public:
  // Keeps `limit` batches; the oldest goes when another comes.
  MetricsBuffer(std::string agent_id, uint64_t incarnation, size_t limit);

  // The next batch of the sequence, kept; it covers the last `interval_ns`.
  const chaos::v1::MetricsBatch& Add(std::vector<chaos::v1::TargetSample> samples,
                                     int64_t unix_now_ns, uint64_t interval_ns);

  // Those kept, the oldest first.
  const std::deque<chaos::v1::MetricsBatch>& kept() const { return kept_; }

  // Of the newest batch; 0 before the first.
  uint64_t sequence() const { return sequence_; }

 private:
  const std::string agent_id_;
  const uint64_t incarnation_;
  const size_t limit_;
  uint64_t sequence_ = 0;
  std::deque<chaos::v1::MetricsBatch> kept_;
};

}  // namespace faultline::agent
