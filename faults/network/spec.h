// The network group's rows of the registry, and what its parameters mean. Pure.
#pragma once

#include <google/protobuf/repeated_ptr_field.h>

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "faults/registry.h"

namespace faultline::network {

// Most values of a table of measured delays.
inline constexpr int kMaxTableValues = 512;

// The group's kinds, in the order in which they are shown.
std::span<const faults::Kind> Kinds();

// An IPv4 or IPv6 network. Bits beyond the prefix are zero.
struct Cidr {
  bool ipv6 = false;
  std::array<uint8_t, 16> address{};  // network byte order; IPv4 in the first four
  uint8_t prefix_bits = 0;
  auto operator<=>(const Cidr&) const = default;
};

// "10.0.0.0/8", "2001:db8::/32", or an address alone (all its bits). INVALID_ARGUMENT otherwise.
StatusOr<Cidr> ParseCidr(std::string_view text);

// Whether every address of `inner` is one of `outer`.
bool Covers(const Cidr& outer, const Cidr& inner);

// Most networks that the groups of a partition may name together.
inline constexpr size_t kMaxGroupItems = 64;

// Groups of networks, those of one joined by '+': "10.0.0.1+10.0.0.2". INVALID_ARGUMENT with what
// is allowed as its message when that is no network, or when there are fewer than two groups, too
// many networks, or one that is in two groups.
StatusOr<std::vector<std::vector<Cidr>>> ParseGroups(
    const google::protobuf::RepeatedPtrField<std::string>& groups);

}  // namespace faultline::network
