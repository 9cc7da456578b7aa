#include "faults/network/test_frames.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <cstring>

#include "faults/network/datapath.h"

namespace faultline::network {
namespace {

using Bytes = std::vector<uint8_t>;

void Append(Bytes* to, const Bytes& bytes) { to->insert(to->end(), bytes.begin(), bytes.end()); }

Bytes Address(bool ipv6, uint8_t last) {
  if (!ipv6) return {10, 0, 0, last};
  Bytes address(16);
  address[0] = 0xfd;
  address[15] = last;
  return address;
}

Bytes TransportOf(const TestFrame& frame) {
  Bytes bytes(frame.protocol == IPPROTO_TCP ? 20 : 8);
  Put16(&bytes, 0, TestFrame::kFromPort);
  Put16(&bytes, 2, frame.to_port);
  if (frame.protocol == IPPROTO_TCP) {
    Put32(&bytes, 4, TestFrame::kSequence);
    Put32(&bytes, 8, TestFrame::kAcknowledged);
    bytes[12] = static_cast<uint8_t>((bytes.size() + frame.tcp_options.size()) / 4 << 4);
    bytes[13] = frame.tcp_flags;
    Put16(&bytes, 14, 1000);
    bytes.insert(bytes.end(), frame.tcp_options.begin(), frame.tcp_options.end());
  } else {
    Put16(&bytes, 4, 8 + frame.payload.size());
  }
  bytes.insert(bytes.end(), frame.payload.begin(), frame.payload.end());
  return bytes;
}

uint32_t Sum(std::span<const uint8_t> bytes, uint32_t sum = 0) {
  for (size_t i = 0; i < bytes.size(); ++i) sum += i % 2 == 0 ? bytes[i] << 8u : bytes[i];
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

uint32_t Number(std::span<const uint8_t> bytes, size_t at, size_t count) {
  uint32_t number = 0;
  for (size_t i = 0; i < count; ++i) number = number << 8 | bytes[at + i];
  return number;
}

std::string Text(std::span<const uint8_t> address) {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(address.size() == 4 ? AF_INET : AF_INET6, address.data(), text, sizeof(text));
  return text;
}

}  // namespace

Bytes TestFrame::Build() const {
  Bytes frame(sizeof(VnetHeader));
  Append(&frame, {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1});
  Append(&frame, {0x88, 0xa8, 0, FL_RETURN_TAG(5, FL_EGRESS)});
  if (vlan) Append(&frame, {0x81, 0, 0, 100});
  Append(&frame, ipv6 ? Bytes{0x86, 0xdd} : Bytes{0x08, 0});
  const Bytes transport = TransportOf(*this);
  Bytes ip;
  if (ipv6) {
    ip = {0x60, 0, 0, 0, 0, 0, protocol, 7};
    if (options) ip[6] = IPPROTO_DSTOPTS;
    Put16(&ip, 4, transport.size() + (options ? 8 : 0));
  } else {
    ip = {0x45, 0x28, 0, 0, 0x12, 0x34, 0x40, 0, 7, protocol, 0, 0};
    if (options) ip[0] = 0x46;
    Put16(&ip, 2, 20 + transport.size() + (options ? 4 : 0));
  }
  Append(&ip, Address(ipv6, 1));
  Append(&ip, Address(ipv6, 2));
  if (options) Append(&ip, ipv6 ? Bytes{protocol, 0, 1, 4, 0, 0, 0, 0} : Bytes{1, 1, 1, 0});
  Append(&frame, ip);
  Append(&frame, transport);
  Append(&frame, {0, 0, 0});  // padding
  return frame;
}

uint32_t SeenFrame::Field(size_t at, size_t bytes) const { return Number(transport, at, bytes); }

SeenFrame See(const ReturnFrame& frame) {
  const std::span<const uint8_t> all(frame.bytes.get(), frame.size_bytes);
  SeenFrame seen;
  EXPECT_EQ(Sum(all.first(sizeof(VnetHeader))), 0u);
  const auto packet = all.subspan(sizeof(VnetHeader));
  seen.macs.assign(packet.begin(), packet.begin() + 12);
  EXPECT_EQ(Number(packet, 12, 2), uint32_t{FL_RETURN_ETHERTYPE});
  seen.tag = Number(packet, 14, 2);
  seen.vlan = Number(packet, 16, 2) == 0x8100;
  const size_t ethertype_at = seen.vlan ? 20 : 16;
  seen.ipv6 = Number(packet, ethertype_at, 2) == 0x86dd;
  const auto ip = packet.subspan(ethertype_at + 2);
  const size_t header_bytes = seen.ipv6 ? 40 : 20, addresses_at = seen.ipv6 ? 8 : 12;
  const size_t address_bytes = seen.ipv6 ? 16 : 4;
  EXPECT_EQ(Number(ip, seen.ipv6 ? 4 : 2, 2), ip.size() - (seen.ipv6 ? header_bytes : 0));
  EXPECT_EQ(ip[0], seen.ipv6 ? 0x60 : 0x45);
  if (!seen.ipv6) {
    EXPECT_EQ(Sum(ip.first(header_bytes)), 0xffffu);
  }
  seen.protocol = ip[seen.ipv6 ? 6 : 9];
  seen.hop_limit = ip[seen.ipv6 ? 7 : 8];
  seen.from = Text(ip.subspan(addresses_at, address_bytes));
  seen.to = Text(ip.subspan(addresses_at + address_bytes, address_bytes));
  const auto transport = ip.subspan(header_bytes);
  const uint32_t pseudo = seen.protocol == IPPROTO_ICMP
                              ? 0
                              : Sum(ip.subspan(addresses_at, 2 * address_bytes),
                                    seen.protocol + static_cast<uint32_t>(transport.size()));
  EXPECT_EQ(Sum(transport, pseudo), 0xffffu);
  seen.transport.assign(transport.begin(), transport.end());
  return seen;
}

}  // namespace faultline::network
