// What was seen of a target's connections beside request-to-response times: exact sums, and some of
// the rare events among it.
#pragma once

#include <cstddef>

#include "chaos/v1/metrics.pb.h"

namespace faultline {

// Reasons of drops told apart in one message; further ones count as "OTHER".
inline constexpr size_t kMaxDropReasons = 256;

// Events of one type told in one message; further ones count as lost.
inline constexpr size_t kMaxEventsOfType = 8;

// Adds `from` to `into`, but for its events. A histogram that is not of our scheme is left out.
void MergeCounts(const chaos::v1::TrafficDetail& from, chaos::v1::TrafficDetail* into);
// The same with the events, as far as there is room. Told and lost ones together stay as many.
void MergeTraffic(const chaos::v1::TrafficDetail& from, chaos::v1::TrafficDetail* into);

// Takes the events out, and counts them as lost.
void LoseEvents(chaos::v1::TrafficDetail* traffic);

// Takes out what only those get who ask for buckets.
void ClearHistograms(chaos::v1::TrafficDetail* traffic);

// True when there is nothing in it.
bool IsEmpty(const chaos::v1::TrafficDetail& traffic);

}  // namespace faultline
