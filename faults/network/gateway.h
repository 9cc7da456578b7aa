// Where a network's packets for elsewhere go.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "faults/network/spec.h"

namespace faultline::network {

// In network byte order, IPv4 as ::ffff:a.b.c.d; all 0: none.
using GatewayAddress = std::array<uint32_t, 4>;

struct Gateways {
  GatewayAddress ipv4{};
  GatewayAddress ipv6{};
  bool operator==(const Gateways&) const = default;
};

// The first default gateway of each family through `interface`, out of the texts of /proc/net/route
// and /proc/net/ipv6_route. Lines that cannot be read are passed over.
Gateways FindGateways(std::string_view interface, std::string_view routes,
                      std::string_view ipv6_routes);

// The same of the calling thread's network namespace.
Gateways ReadGateways(const std::string& interface);

// Whether the network is the address of one of them, and nothing else.
bool IsOneOf(const Gateways& gateways, const Cidr& peer);

}  // namespace faultline::network
