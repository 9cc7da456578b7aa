#include "faults/network/transport.h"

#include <netinet/in.h>

#include <algorithm>

namespace faultline::network {
namespace {

using Packet = std::span<const uint8_t>;

constexpr size_t kEthertypeAt = 12;
constexpr size_t kTagBytes = 4;
constexpr size_t kIpv4Bytes = 20, kIpv6Bytes = 40, kExtensionBytes = 8;
constexpr size_t kMaxExtensions = 8;
constexpr size_t kTcpBytes = 20, kUdpBytes = 8, kIcmpBytes = 8;

unsigned Word(Packet packet, size_t at) { return packet[at] << 8u | packet[at + 1]; }

// What IP says about what it carries.
struct Carried {
  size_t at = 0;
  size_t end = 0;
  unsigned protocol = 0;
  bool first = true;  // not a later fragment
};

std::optional<Carried> ReadIpv4(Packet packet, size_t at) {
  if (at + kIpv4Bytes > packet.size()) return std::nullopt;
  const size_t header = (packet[at] & 0x0fu) * size_t{4}, total = Word(packet, at + 2);
  if (header < kIpv4Bytes) return std::nullopt;
  return Carried{.at = at + header,
                 .end = total == 0 ? packet.size() : std::min(at + total, packet.size()),
                 .protocol = packet[at + 9],
                 .first = (Word(packet, at + 6) & 0x1fff) == 0};
}

std::optional<Carried> ReadIpv6(Packet packet, size_t at) {
  if (at + kIpv6Bytes > packet.size()) return std::nullopt;
  const size_t total = Word(packet, at + 4);
  Carried carried{
      .at = at + kIpv6Bytes,
      .end = total == 0 ? packet.size() : std::min(at + kIpv6Bytes + total, packet.size()),
      .protocol = packet[at + 6]};
  for (size_t i = 0; i < kMaxExtensions && carried.first; ++i) {
    const unsigned kind = carried.protocol;
    if (kind != IPPROTO_HOPOPTS && kind != IPPROTO_ROUTING && kind != IPPROTO_DSTOPTS &&
        kind != IPPROTO_AH && kind != IPPROTO_FRAGMENT) {
      break;
    }
    if (carried.at + kExtensionBytes > carried.end) return std::nullopt;
    const size_t here = carried.at;
    carried.protocol = packet[here];
    if (kind == IPPROTO_FRAGMENT) {
      carried.first = (Word(packet, here + 2) & 0xfff8) == 0;
      carried.at += kExtensionBytes;
    } else if (kind == IPPROTO_AH) {
      carried.at += (packet[here + 1] + size_t{2}) * 4;
    } else {
      carried.at += (packet[here + 1] + size_t{1}) * kExtensionBytes;
    }
  }
  return carried;
}

}  // namespace

std::optional<Transport> FindTransport(Packet packet) {
  size_t at = kEthertypeAt;
  const auto is_tag = [&] { return Word(packet, at) == 0x8100 || Word(packet, at) == 0x88a8; };
  while (at + 2 <= packet.size() && is_tag()) at += kTagBytes;
  if (at + 2 > packet.size()) return std::nullopt;
  const unsigned ethertype = Word(packet, at);
  std::optional<Carried> carried;
  if (ethertype == 0x0800) carried = ReadIpv4(packet, at + 2);
  if (ethertype == 0x86dd) carried = ReadIpv6(packet, at + 2);
  if (!carried || carried->at > carried->end) return std::nullopt;
  Transport found{.network_at = at + 2,
                  .header_at = carried->at,
                  .payload_at = carried->at,
                  .end = carried->end,
                  .protocol = carried->protocol};
  if (!carried->first) return found;
  const size_t room = found.end - found.header_at;
  const auto has = [&](size_t bytes, size_t checksum_at) {
    found.payload_at += bytes;
    found.checksum_at = found.header_at + checksum_at;
    return found;
  };
  switch (carried->protocol) {
    case IPPROTO_TCP: {
      if (room < kTcpBytes) return std::nullopt;
      const size_t bytes = (packet[found.header_at + 12] >> 4u) * size_t{4};
      if (bytes < kTcpBytes || bytes > room) return std::nullopt;
      return has(bytes, 16);
    }
    case IPPROTO_UDP:
      if (room < kUdpBytes) return std::nullopt;
      has(kUdpBytes, 6);
      if (Word(packet, *found.checksum_at) == 0) found.checksum_at.reset();
      return found;
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6:
      if (room < kIcmpBytes) return std::nullopt;
      return has(kIcmpBytes, 2);
    default:
      return found;
  }
}

}  // namespace faultline::network
