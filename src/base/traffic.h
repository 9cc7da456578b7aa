// What was seen of a target's connections beside request-to-response times: exact sums.
#pragma once

#include <cstddef>

#include "chaos/v1/metrics.pb.h"

namespace faultline {

// Reasons of drops told apart in one message; further ones count as "OTHER".
inline constexpr size_t kMaxDropReasons = 256;

// Adds `from` to `into`. A histogram that is not of our scheme is left out.
void MergeTraffic(const chaos::v1::TrafficDetail& from, chaos::v1::TrafficDetail* into);

// Takes out what only those get who ask for buckets.
void ClearHistograms(chaos::v1::TrafficDetail* traffic);

// True when there is nothing in it.
bool IsEmpty(const chaos::v1::TrafficDetail& traffic);

}  // namespace faultline
