#include "agent/sample_totals.h"

#include "base/log_linear.h"
#include "base/traffic.h"

namespace faultline::agent {
namespace {

double MiddleNs(unsigned bucket) {
  return (static_cast<double>(fl_hist_lower_ns(bucket)) +
          static_cast<double>(fl_hist_upper_ns(bucket))) /
         2;
}

template <typename Map>
void ForgetOlder(Map& map, uint64_t oldest_ns) {
  std::erase_if(map, [&](const auto& entry) { return entry.second.seen_ns < oldest_ns; });
}

// Takes out those seen last longest ago, until no more than `limit` are left.
template <typename Map>
void Trim(Map& map, size_t limit) {
  while (map.size() > limit) {
    map.erase(std::min_element(map.begin(), map.end(), [](const auto& a, const auto& b) {
      return a.second.seen_ns < b.second.seen_ns;
    }));
  }
}

}  // namespace

void SampleTotals::Durations::Add(const chaos::v1::SparseHistogram& histogram) {
  for (int i = 0; i < histogram.index_size() && i < histogram.count_size(); ++i) {
    if (histogram.index(i) >= FL_HIST_BUCKETS) continue;
    const double middle_ns = MiddleNs(histogram.index(i));
    const auto bound =
        std::lower_bound(kBoundsNs.begin(), kBoundsNs.end(), static_cast<uint64_t>(middle_ns));
    counts[static_cast<size_t>(bound - kBoundsNs.begin())] += histogram.count(i);
    seconds += middle_ns / 1e9 * static_cast<double>(histogram.count(i));
  }
}

void SampleTotals::Add(const std::vector<chaos::v1::TargetSample>& samples, uint64_t now_ns) {
  for (const auto& sample : samples) {
    Target& target = targets_[sample.target_id()];
    target.packets += sample.packets();
    target.bytes += sample.bytes();
    target.not_measurable += sample.not_measurable();
    target.seen_ns = now_ns;
    target.requests.Add(sample.latency());
    target.handshakes.Add(sample.traffic().handshake());
    target.round_trips.Add(sample.traffic().smoothed_rtt());
    MergeCounts(sample.traffic(), &target.traffic);
    for (const auto& counters : sample.faults()) {
      Fault& fault =
          faults_[{counters.experiment_id(), counters.fault_index(), sample.target_id()}];
      fault.counters = counters;
      fault.seen_ns = now_ns;
    }
    for (const auto& delays : sample.fault_delays()) {
      const auto fault =
          faults_.find({delays.experiment_id(), delays.fault_index(), sample.target_id()});
      if (fault == faults_.end()) continue;
      fault->second.delays.Add(delays.given());
      fault->second.delays_without_room += delays.no_room();
    }
  }
  Forget(now_ns);
}

void SampleTotals::Forget(uint64_t now_ns) {
  const uint64_t oldest_ns = now_ns > kKeepEndedNs ? now_ns - kKeepEndedNs : 0;
  ForgetOlder(faults_, oldest_ns);
  Trim(faults_, kMaxFaults);
  ForgetOlder(targets_, oldest_ns);
  const auto there = std::count_if(targets_.begin(), targets_.end(), [&](const auto& entry) {
    return entry.second.seen_ns == now_ns;
  });
  Trim(targets_, static_cast<size_t>(there) + kMaxGoneTargets);
}

}  // namespace faultline::agent
