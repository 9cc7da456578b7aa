// Frames as the lane has them, for tests of what it makes of them.
#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <string>
#include <vector>

#include "faults/network/answer.h"

namespace faultline::network {

// A packet from one end (address ...1, port 40000) to the other (...2) in a frame that goes out on
// hook 5.
struct TestFrame {
  bool ipv6 = false;
  uint8_t protocol = IPPROTO_TCP;
  uint16_t to_port = 80;
  uint8_t tcp_flags = kTcpAck;
  std::string payload{};
  std::string tcp_options = std::string("\1\1\1\0", 4);  // a multiple of four bytes
  bool options = false;  // of IP: four bytes, or an extension header of eight
  bool vlan = false;

  static constexpr uint32_t kSequence = 0x01020304, kAcknowledged = 0x0a0b0c0d;
  static constexpr uint16_t kFromPort = 40000;

  std::vector<uint8_t> Build() const;
};

// A frame's fields, read from its bytes alone. Fails the test unless lengths and checksums are
// right.
struct SeenFrame {
  std::string macs;  // destination, source
  unsigned tag = 0;  // what the return tag says
  bool vlan = false;
  bool ipv6 = false;
  unsigned hop_limit = 0;
  std::string from, to;  // addresses, as text
  unsigned protocol = 0;
  std::vector<uint8_t> transport;  // header and payload

  uint32_t Field(size_t at, size_t bytes) const;
};
SeenFrame See(const ReturnFrame& frame);

}  // namespace faultline::network
