// Makes the agent's metric batches of what the drivers read, numbers them, and keeps the last ones,
// so that a new node can be given what the old one may not have passed on. Not thread-safe.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "chaos/v1/metrics.pb.h"

namespace faultline::agent {

class MetricsBuffer {
 public:
  // Readings without a fault and without a packet become one batch for so long a time: sending is
  // most of what an idle agent costs.
  static constexpr uint64_t kQuietNs = 1'000'000'000;
  // What an agent keeps of a busy time: enough to notice that its node is gone (rpc/keepalive.h),
  // to pass over one or two others that are, and some more for a machine that is busy.
  static constexpr unsigned kKeptSeconds = 6;

  // Keeps `limit` batches; the oldest goes when another comes.
  MetricsBuffer(std::string agent_id, uint64_t incarnation, size_t limit);

  // Takes in what was read over the last `interval_ns`, which end now. Result: how many batches
  // that made, the last of those kept: none while all is quiet, two when a quiet time ends.
  size_t Add(std::vector<chaos::v1::TargetSample> samples, int64_t unix_now_ns,
             uint64_t interval_ns);

  // Those kept, the oldest first.
  const std::deque<chaos::v1::MetricsBatch>& kept() const { return kept_; }

  // Of the newest batch; 0 before the first.
  uint64_t sequence() const { return sequence_; }

 private:
  // Readings, and the time that they are of.
  struct Reading {
    std::vector<chaos::v1::TargetSample> samples;
    int64_t unix_end_ns = 0;
    uint64_t length_ns = 0;
  };
  void MakeBatch(Reading reading);

  const std::string agent_id_;
  const uint64_t incarnation_;
  const size_t limit_;
  uint64_t sequence_ = 0;
  std::optional<Reading> quiet_;  // in no batch yet
  std::deque<chaos::v1::MetricsBatch> kept_;
};

}  // namespace faultline::agent
