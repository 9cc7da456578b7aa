// What the agent's drivers have measured since it began, for those who scrape it: sums over the
// samples, bounded in their number. Not thread-safe.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "chaos/v1/metrics.pb.h"
#include "faults/driver.h"

namespace faultline::agent {

class SampleTotals {
 public:
  // Faults kept at once: beyond it those that were seen last longest ago are forgotten.
  static constexpr size_t kMaxFaults = 512;
  // A fault that has ended is shown for so long, so that every scraper sees how it ended.
  static constexpr uint64_t kKeepEndedNs = 300'000'000'000;
  // The same for a target that is gone, and so many of them. Those that are there are all kept: an
  // agent has a bounded number.
  static constexpr size_t kMaxGoneTargets = 256;

  // Upper bounds of what is shown of durations, each part of its bucket, from 11.2 us to 89.1 s:
  // ten a decade (the Renard series R10 of ISO 3), moved by half a step. Delays are
  // asked for in round numbers, and given a little late: they are in the middle of their buckets
  // so, where interpolated quantiles are right, and not at the lower end of one that is two times
  // as wide.
  static constexpr size_t kBounds = 70;
  static constexpr std::array<uint64_t, kBounds> kBoundsNs = [] {
    constexpr uint64_t kSteps[] = {112, 141, 178, 224, 282, 355, 447, 562, 708, 891};
    std::array<uint64_t, kBounds> bounds{};
    uint64_t decade_ns = 100;
    for (size_t i = 0; i < kBounds; ++i) {
      bounds[i] = kSteps[i % 10] * decade_ns;
      if (i % 10 == 9) decade_ns *= 10;
    }
    return bounds;
  }();

  struct Durations {
    std::array<uint64_t, kBounds + 1> counts{};  // the last is above them all
    double seconds = 0;                          // of buckets' middles: within 1 %

    void Add(const chaos::v1::SparseHistogram& histogram);
    bool empty() const {
      return std::ranges::all_of(counts, [](uint64_t count) { return count == 0; });
    }
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
    uint64_t delays_without_room = 0;   // not in `delays`, since then too
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
