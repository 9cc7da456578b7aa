// The network group's rows of the registry, and what its parameters mean. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/status.h"
#include "faults/registry.h"

namespace faultline::network {

// Most peer networks, local ports and peer ports that one filter may name, each.
inline constexpr int kMaxFilterItems = 16;

// The group's kinds, in the order in which they are shown.
std::span<const faults::Kind> Kinds();

// An IPv4 or IPv6 network. Bits beyond the prefix are zero.
struct Cidr {
  bool ipv6 = false;
  std::array<uint8_t, 16> address{};  // network byte order; IPv4 in the first four
  uint8_t prefix_bits = 0;
};

// "10.0.0.0/8", "2001:db8::/32", or an address alone (all its bits). INVALID_ARGUMENT otherwise.
StatusOr<Cidr> ParseCidr(std::string_view text);

}  // namespace faultline::network
