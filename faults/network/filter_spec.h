// What a TrafficFilter may say, and what its texts mean. Pure.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/status.h"
#include "faults/network/spec.h"
#include "network/v1/parameters.pb.h"

namespace faultline::network {

// Most items that each list of one filter may have.
inline constexpr int kMaxFilterItems = 16;

// Most bytes of a payload that a filter looks at.
inline constexpr size_t kMaxPrefixBytes = 32;

// Both ends belong to it.
struct PortRange {
  uint16_t first = 0;
  uint16_t last = 0;
  auto operator<=>(const PortRange&) const = default;
};

// "80" or "8000-8100", from 1 to 65535. INVALID_ARGUMENT otherwise.
StatusOr<PortRange> ParsePortRange(std::string_view text);

// Flags as in the TCP header's 14th byte: those of `mask` must be as in `value`.
struct TcpFlags {
  uint8_t mask = 0;
  uint8_t value = 0;
};

// Adds "syn" or "!ack" to `flags`. INVALID_ARGUMENT for another word, and for a flag that is to be
// both.
Status AddTcpFlag(std::string_view text, TcpFlags* flags);

// The bytes that a payload_prefix means: \xNN and \\ are one byte each. INVALID_ARGUMENT unless
// these are 1 to kMaxPrefixBytes.
StatusOr<std::string> ParsePayloadPrefix(std::string_view text);

// Whether only new, or only established, connections are meant.
bool AsksForConnections(const ::network::v1::TrafficFilter& filter);

// The address alone at which cloud machines ask for their metadata.
bool IsMetadataAddress(const Cidr& peer);

// What a partition's own parameters say of its packets, as a filter that names neither peers nor a
// direction: these are its groups' and ways'.
::network::v1::TrafficFilter FilterOf(const ::network::v1::NetworkPartition& partition);

// INVALID_ARGUMENT with the field "<prefix><parameter>": texts that mean nothing, filters that
// contradict each other, and one that names nothing but what is protected.
Status ValidateFilter(const ::network::v1::TrafficFilter& filter, std::string_view prefix);

}  // namespace faultline::network
