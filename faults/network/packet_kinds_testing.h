// The kinds that are about packets, whatever these mean, for the tests of this folder.
#pragma once

#include <map>
#include <string>

namespace faultline::network {

// By kind: parameters with which it is valid.
inline const std::map<std::string, std::map<std::string, std::string>> kPacketKinds = {
    {"NETWORK_LATENCY", {{"delay_ms", "1"}}},
    {"NETWORK_LOSS", {{"loss_percent", "1"}}},
    {"NETWORK_BANDWIDTH", {{"rate_bps", "1mbps"}}},
    {"NETWORK_BLACKHOLE", {}},
    {"NETWORK_PARTITION", {{"groups", "10.0.0.1,10.0.0.2"}}},
    {"NETWORK_DUPLICATE", {{"duplicate_percent", "1"}}},
    {"NETWORK_CORRUPT", {{"corrupt_percent", "1"}}},
    {"NETWORK_REORDER", {{"reorder_percent", "1"}}},
    {"TCP_RESET", {}}};

}  // namespace faultline::network
