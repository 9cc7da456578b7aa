#include "base/traffic.h"

#include <algorithm>
#include <map>
#include <string>

#include "base/counters.h"
#include "base/histogram.h"

namespace faultline {

using chaos::v1::TrafficDetail;

void MergeCounts(const TrafficDetail& from, TrafficDetail* into) {
  ForEachCounter(from, into, [](uint64_t a, uint64_t b) { return a + b; });
  if (from.has_handshake()) {
    MergeSparse(from.handshake(), into->mutable_handshake()).IgnoreError();
  }
  if (from.has_smoothed_rtt()) {
    MergeSparse(from.smoothed_rtt(), into->mutable_smoothed_rtt()).IgnoreError();
  }
  // In order: where there is no more room decides which ones are told by name, on every node alike.
  const auto& unordered = from.kernel_drops();
  const std::map<std::string, uint64_t> ordered(unordered.begin(), unordered.end());
  for (const auto& [reason, count] : ordered) {
    auto& drops = *into->mutable_kernel_drops();
    const bool room = drops.contains(reason) || drops.size() < kMaxDropReasons;
    drops[room ? reason : "OTHER"] += count;
  }
}

void MergeTraffic(const TrafficDetail& from, TrafficDetail* into) {
  MergeCounts(from, into);
  for (const auto& event : from.events()) {
    const auto& told = into->events();
    const auto of_type = static_cast<size_t>(std::count_if(
        told.begin(), told.end(), [&](const auto& e) { return e.type() == event.type(); }));
    if (of_type < kMaxEventsOfType) {
      *into->add_events() = event;
    } else {
      into->set_events_lost(into->events_lost() + 1);
    }
  }
}

void LoseEvents(TrafficDetail* traffic) {
  traffic->set_events_lost(traffic->events_lost() + static_cast<uint64_t>(traffic->events_size()));
  traffic->clear_events();
}

void ClearHistograms(TrafficDetail* traffic) {
  traffic->clear_handshake();
  traffic->clear_smoothed_rtt();
}

bool IsEmpty(const TrafficDetail& traffic) { return traffic.ByteSizeLong() == 0; }

}  // namespace faultline
