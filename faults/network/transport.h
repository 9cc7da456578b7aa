// Where a packet's transport header is. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace faultline::network {

// Offsets from the packet's first byte. What has no transport header (later fragments, other
// protocols) has an empty one, and all behind IP is its payload.
struct Transport {
  size_t network_at = 0;  // of the IP header
  size_t header_at = 0;
  size_t payload_at = 0;
  size_t end = 0;                       // by the IP header: padding is not the packet's
  std::optional<size_t> checksum_at{};  // none: there is none, or the sender left it out
  unsigned protocol = 0;                // IPPROTO_
};

// `packet` begins with the Ethernet header, VLAN tags may follow. None for what is not IP or is cut
// short.
std::optional<Transport> FindTransport(std::span<const uint8_t> packet);

}  // namespace faultline::network
