// What was seen of a target's connections, in words.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "chaos/v1/metrics.pb.h"

namespace faultline::cli {

// "3 refused by target", "1 reset by peer": what is not 0, in an order that stays.
std::vector<std::pair<uint64_t, std::string>> TrafficCounts(
    const chaos::v1::TrafficDetail& traffic);

// The same in one line; empty when there is nothing.
std::string TrafficText(const chaos::v1::TrafficDetail& traffic);

// "3 measurements merged", "5 measurements missed"; nothing of what is 0. Of an update's
// merged_batches and missed_batches.
std::vector<std::string> BatchTexts(uint64_t merged, uint64_t missed);

}  // namespace faultline::cli
