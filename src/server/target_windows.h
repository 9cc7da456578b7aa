// One source's batches to updates: percentiles and rates over the last second of each target, one
// update for each experiment on it and one for the target as such.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/fault_delays.h"
#include "base/histogram.h"
#include "chaos/v1/metrics.pb.h"
#include "server/metric_totals.h"

namespace faultline::server {

// Every percentile, and the count of requests.
void SetPercentiles(const SparseBuckets& latency, chaos::v1::MetricUpdate* update);
// Those of handshakes and round trips.
void SetConnectionTimes(const SparseBuckets& handshake, const SparseBuckets& rtt,
                        chaos::v1::MetricUpdate* update);
// Those of what a fault's packets waited.
void SetDelayTimes(const SparseBuckets& given, chaos::v1::FaultDelays* delays);

// Not thread-safe.
class TargetWindows {
 public:
  static constexpr uint64_t kWindowNs = 1'000'000'000;
  // Batches in one window at the most, however short they claim to be.
  static constexpr size_t kMaxParts = 100;
  using Updates = std::vector<std::shared_ptr<const chaos::v1::MetricUpdate>>;

  // Takes the batch in; `missed` batches before it never came; `totals` has the sums of its
  // samples' counters. The updates carry its buckets; experiment_id is empty in the target's own.
  Updates Add(const chaos::v1::MetricsBatch& batch, uint64_t missed,
              const std::vector<MetricTotals::Sums>& totals);

 private:
  using Drops = std::map<std::string, uint64_t>;  // by experiment; "": all
  using FaultId = std::pair<std::string, uint32_t>;
  struct Part {
    uint64_t interval_ns = 0;
    chaos::v1::SparseHistogram latency, handshake, rtt;
    FaultDelaysList delays;
    uint64_t not_measurable = 0, packets = 0, bytes = 0;
    Drops dropped;
    std::string why_not_measurable;
  };
  // The last second of one target.
  struct Window {
    std::deque<Part> parts;
    uint64_t length_ns = 0, not_measurable = 0, packets = 0, bytes = 0;
    Drops dropped;
    Drops counters;  // as they last came
    SparseBuckets latency, handshake, rtt;
    std::map<FaultId, SparseBuckets> delays;

    // False when the part's latency is no histogram of ours: it is left out.
    bool Add(Part part);
    Drops Grown(const MetricTotals::Sums& sums);
    void DropOldest();
    // The last reason why something was not; empty when all was.
    std::string WhyNotMeasurable() const;
    void SetRates(const std::string& experiment_id, chaos::v1::MetricUpdate* update) const;
    // Of the experiment's faults, or of all without one.
    void SetDelays(const std::string& experiment_id, chaos::v1::MetricUpdate* update) const;
  };

  std::map<std::string, Window> windows_;  // by target id
};

}  // namespace faultline::server
