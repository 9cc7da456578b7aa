#include "faults/network/corrupt.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <bit>
#include <cstring>
#include <string>
#include <vector>

#include "faults/network/lane_frame.h"

namespace faultline::network {
namespace {

using Bytes = std::vector<uint8_t>;
using Part = Corrupter::Part;

constexpr Chance kAlways(uint64_t{1} << 32, 7);
constexpr size_t kMacBytes = 14 + 4;  // with the return tag

void Put16(Bytes* bytes, size_t at, size_t value) {
  (*bytes)[at] = static_cast<uint8_t>(value >> 8);
  (*bytes)[at + 1] = static_cast<uint8_t>(value);
}

struct Shape {
  bool ipv6 = false;
  uint8_t protocol = 17;
  size_t payload_bytes = 101;
  bool later_fragment = false;
  uint8_t extension = 0;  // kind of an IPv6 extension header of 16 bytes; 0: none
};

size_t HeaderBytes(uint8_t protocol) { return protocol == 6 ? 32 : 8; }
size_t ChecksumAt(uint8_t protocol) { return protocol == 6 ? 16 : protocol == 17 ? 6 : 2; }
size_t TransportAt(const Shape& shape) {
  return kMacBytes + (shape.ipv6 ? 40 : 20) + (shape.extension != 0 ? 16 : 0);
}

// The one's complement sum over the transport and its pseudo header: 0xffff when the checksum is
// right.
unsigned Sum(const Bytes& packet, const Shape& shape) {
  const size_t transport = TransportAt(shape);
  const size_t addresses = shape.ipv6 ? kMacBytes + 8 : kMacBytes + 12;
  const size_t bytes = HeaderBytes(shape.protocol) + shape.payload_bytes;
  uint64_t sum = 0;
  const auto add = [&](size_t from, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      sum += i % 2 == 0 ? size_t{packet[from + i]} << 8 : packet[from + i];
    }
  };
  add(transport, bytes);
  if (shape.protocol != 1) {
    add(addresses, shape.ipv6 ? 32 : 8);
    sum += shape.protocol + bytes;
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<unsigned>(sum);
}

// A frame as the lane has it, its checksum right, with a few bytes of padding behind.
Bytes Frame(const Shape& shape) {
  const size_t transport = TransportAt(shape);
  const size_t bytes = HeaderBytes(shape.protocol) + shape.payload_bytes;
  Bytes packet(transport + bytes + 3);
  packet[12] = 0x88;
  packet[13] = 0xa8;
  Put16(&packet, kMacBytes - 2, shape.ipv6 ? 0x86dd : 0x0800);
  for (size_t i = kMacBytes; i < packet.size() - 3; ++i) packet[i] = static_cast<uint8_t>(37 * i);
  if (shape.ipv6) {
    Put16(&packet, kMacBytes + 4, bytes + (shape.extension != 0 ? 16 : 0));
    packet[kMacBytes + 6] = shape.extension != 0 ? shape.extension : shape.protocol;
    if (shape.extension != 0) {
      packet[kMacBytes + 40] = shape.protocol;
      packet[kMacBytes + 41] = shape.extension == IPPROTO_AH ? 2 : 1;
    }
  } else {
    packet[kMacBytes] = 0x45;
    Put16(&packet, kMacBytes + 2, 20 + bytes);
    Put16(&packet, kMacBytes + 6, shape.later_fragment ? 185 : 0);
    packet[kMacBytes + 9] = shape.protocol;
  }
  if (shape.protocol == 6) packet[transport + 12] = 8 << 4;
  if (!shape.later_fragment) {
    Put16(&packet, transport + ChecksumAt(shape.protocol), 0);
    Put16(&packet, transport + ChecksumAt(shape.protocol), ~Sum(packet, shape));
  }
  const VnetHeader header{};
  Bytes frame(sizeof(header));
  std::memcpy(frame.data(), &header, sizeof(header));
  frame.insert(frame.end(), packet.begin(), packet.end());
  return frame;
}

Bytes PacketOf(const Bytes& frame) {
  return Bytes(frame.begin() + sizeof(VnetHeader), frame.end());
}

// Bits that differ, within [begin, end) of the packets.
int Flipped(const Bytes& a, const Bytes& b, size_t begin, size_t end) {
  int bits = 0;
  for (size_t i = begin; i < end; ++i) bits += std::popcount(static_cast<uint8_t>(a[i] ^ b[i]));
  return bits;
}

class EveryShape : public testing::TestWithParam<Shape> {};

TEST_P(EveryShape, TheBitsAskedFlipInThePartAskedAndNowhereElse) {
  const Shape shape = GetParam();
  const size_t begin = TransportAt(shape), middle = begin + HeaderBytes(shape.protocol);
  for (const Part part : {Part::kAny, Part::kHeader, Part::kPayload}) {
    for (const unsigned bits : {1u, 5u, 64u}) {
      Bytes frame = Frame(shape);
      const Bytes before = PacketOf(frame);
      ASSERT_TRUE(Corrupter(kAlways, bits, part, false).Corrupt(frame));
      const Bytes after = PacketOf(frame);
      const size_t from = part == Part::kPayload ? middle : begin;
      const size_t to = part == Part::kHeader ? middle : middle + shape.payload_bytes;
      EXPECT_EQ(Flipped(before, after, from, to), static_cast<int>(bits));
      EXPECT_EQ(Flipped(before, after, 0, before.size()), static_cast<int>(bits));
      EXPECT_NE(Sum(after, shape), 0xffffu);
    }
  }
}

TEST_P(EveryShape, AChecksumMadeRightIsRight) {
  const Shape shape = GetParam();
  const size_t checksum = TransportAt(shape) + ChecksumAt(shape.protocol);
  for (uint64_t seed = 0; seed < 200; ++seed) {
    for (const Part part : {Part::kAny, Part::kHeader, Part::kPayload}) {
      Bytes frame = Frame(shape);
      const Bytes before = PacketOf(frame);
      ASSERT_TRUE(Corrupter(Chance(uint64_t{1} << 32, seed), 5, part, true).Corrupt(frame));
      const Bytes after = PacketOf(frame);
      EXPECT_EQ(
          Flipped(before, after, 0, checksum) + Flipped(before, after, checksum + 2, before.size()),
          5);
      // A length that flipped in a UDP header is in the pseudo header too, and not ours to repair.
      ASSERT_EQ(Sum(after, shape), 0xffffu) << "seed " << seed;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, EveryShape,
    testing::Values(Shape{}, Shape{.protocol = 6}, Shape{.protocol = 1}, Shape{.ipv6 = true},
                    Shape{.ipv6 = true, .protocol = 6},
                    Shape{.ipv6 = true, .protocol = 6, .extension = IPPROTO_DSTOPTS},
                    Shape{.ipv6 = true, .protocol = 6, .extension = IPPROTO_AH}));

TEST(CorrupterTest, APartThatAPacketHasNotIsLeftAlone) {
  Bytes empty = Frame({.protocol = 6, .payload_bytes = 0});
  const Bytes before = empty;
  EXPECT_FALSE(Corrupter(kAlways, 1, Part::kPayload, false).Corrupt(empty));
  Bytes fragment = Frame({.later_fragment = true});
  EXPECT_FALSE(Corrupter(kAlways, 1, Part::kHeader, true).Corrupt(fragment));
  EXPECT_TRUE(Corrupter(kAlways, 1, Part::kPayload, true).Corrupt(fragment));
  EXPECT_EQ(empty, before);
}

TEST(CorrupterTest, AUdpPacketWithoutChecksumStaysWithoutOne) {
  Bytes frame = Frame({});
  const size_t checksum = sizeof(VnetHeader) + TransportAt({}) + 6;
  frame[checksum] = frame[checksum + 1] = 0;
  EXPECT_TRUE(Corrupter(kAlways, 3, Part::kPayload, true).Corrupt(frame));
  EXPECT_EQ(frame[checksum] | frame[checksum + 1], 0);
}

TEST(CorrupterTest, WhatIsShortOrNotIpIsLeftAlone) {
  Bytes frame = Frame({.protocol = 6});
  for (size_t size = sizeof(VnetHeader) + kMacBytes; size < frame.size() - 110; ++size) {
    Bytes cut(frame.begin(), frame.begin() + static_cast<long>(size));
    EXPECT_FALSE(Corrupter(kAlways, 1, Part::kAny, true).Corrupt(cut)) << size;
  }
  frame[sizeof(VnetHeader) + kMacBytes - 2] = 0x07;
  EXPECT_FALSE(Corrupter(kAlways, 1, Part::kAny, true).Corrupt(frame));
}

TEST(CorrupterTest, AChecksumThatIsNotCompleteIsNotCorrupted) {
  Bytes frame = Frame({.protocol = 6});
  frame[0] = VnetHeader::kNeedsChecksum;
  EXPECT_FALSE(Corrupter(kAlways, 1, Part::kAny, false).Corrupt(frame));
}

TEST(CorrupterTest, TheSameSeedFlipsTheSameBitsOfTheSamePackets) {
  const auto run = [](uint64_t seed) {
    Corrupter corrupter(Chance(uint64_t{1} << 31, seed), 2, Part::kAny, false);
    std::vector<Bytes> frames(50, Frame({}));
    for (Bytes& frame : frames) corrupter.Corrupt(frame);
    return frames;
  };
  EXPECT_EQ(run(1), run(1));
  EXPECT_NE(run(1), run(2));
}

}  // namespace
}  // namespace faultline::network
