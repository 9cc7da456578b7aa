// What the agent's drivers have measured since it began, for those who scrape it: sums over the
// samples, bounded in their number. Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/meter.h"
#include "chaos/v1/metrics.pb.h"
#include "faults/driver.h"

namespace faultline::agent {

class SampleTotals {
 public:
  // Faults kept at once: beyond it those that were seen last longest ago are forgotten.
  static constexpr size_t kMaxFaults = 512;
  // A fault that has ended is shown for so long, so that every scraper sees how it ended.
  static constexpr uint64_t kKeepEndedNs = 300'000'000'000;
  // The same for a target that is gone.
  static constexpr size_t kMaxTargets = 256;

  struct Durations {
    std::array<uint64_t, DurationMeter::kBuckets> counts{};  // by DurationMeter::kBoundsNs
    double seconds = 0;                                      // of buckets' middles: within 1 %

    void Add(const chaos::v1::SparseHistogram& histogram);
  };
  struct Target {
    uint64_t packets = 0, bytes = 0, not_measurable = 0;
    Durations requests, handshakes, round_trips;
    chaos::v1::TrafficDetail traffic;
    uint64_t seen_ns = 0;
  };
  struct Fault {
    chaos::v1::FaultCounters counters;  // since it was armed last
    Durations delays;                   // since it was seen first
    uint64_t seen_ns = 0;
  };

  // `now_ns` is any clock that grows, always the same.
  void Add(const std::vector<chaos::v1::TargetSample>& samples, uint64_t now_ns);

  const std::map<std::string, Target>& targets() const { return targets_; }
  const std::map<faults::FaultKey, Fault>& faults() const { return faults_; }

 private:
  void Forget(uint64_t now_ns);

  std::map<std::string, Target> targets_;  // by id
  std::map<faults::FaultKey, Fault> faults_;
};

}  // namespace faultline::agent
