// One source's batches to updates: percentiles over the last second of each target, one update for
// each experiment on it and one for the target as such.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/histogram.h"
#include "chaos/v1/metrics.pb.h"

namespace faultline::server {

// Not thread-safe.
class TargetWindows {
 public:
  static constexpr uint64_t kWindowNs = 1'000'000'000;
  // Batches in one window at the most, however short they claim to be.
  static constexpr size_t kMaxParts = 100;
  using Updates = std::vector<std::shared_ptr<const chaos::v1::MetricUpdate>>;

  // Takes the batch in. The updates carry its buckets; experiment_id is empty in the target's own.
  Updates Add(const chaos::v1::MetricsBatch& batch);

 private:
  struct Part {
    uint64_t interval_ns = 0;
    chaos::v1::SparseHistogram latency;
    uint64_t not_measurable = 0;
  };
  // The last second of one target.
  struct Window {
    std::deque<Part> parts;
    uint64_t length_ns = 0;
    uint64_t not_measurable = 0;
    Histogram merged;

    void Add(Part part);
  };

  std::map<std::string, Window> windows_;  // by target id
};

}  // namespace faultline::server
