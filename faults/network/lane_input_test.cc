#include "faults/network/lane_input.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "bpf/fd.h"

namespace faultline::network {
namespace {

constexpr size_t kVnet = sizeof(VnetHeader), kPrefix = sizeof(fl_lane_prefix);

// A frame's bytes: addresses, and what follows, which begins with an EtherType.
std::vector<uint8_t> Packet(size_t bytes) {
  std::vector<uint8_t> packet(bytes);
  std::iota(packet.begin(), packet.end(), uint8_t{1});
  packet[12] = 0x08;
  packet[13] = 0x00;
  return packet;
}

VnetHeader Train() {
  return {.flags = VnetHeader::kNeedsChecksum,
          .gso_type = 1,
          .hdr_len = kPrefix + 54,
          .gso_size = 1448,
          .csum_start = kPrefix + 34,
          .csum_offset = 16};
}

fl_lane_prefix Prefix() {
  fl_lane_prefix prefix{};
  prefix.t0_ns = 7;
  prefix.flow = 8;
  prefix.direction = FL_INGRESS;
  prefix.hook = 3;
  prefix.rule_count = 1;
  prefix.rule[0] = 5;
  return prefix;
}

void Append(std::vector<uint8_t>* to, const void* from, size_t bytes) {
  const auto* begin = static_cast<const uint8_t*>(from);
  to->insert(to->end(), begin, begin + bytes);
}

// The device: a frame at once, as it comes out of a TAP.
class LaneInputTest : public testing::Test {
 protected:
  void SetUp() override {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    device_ = bpf::UniqueFd(ends[0]);
    kernel_ = bpf::UniqueFd(ends[1]);
    const int bytes = 4 << 20;
    setsockopt(kernel_.get(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
  }

  // Sends the frame and reads it; what goes back.
  ReturnFrame Pass(const std::vector<uint8_t>& frame) {
    EXPECT_EQ(send(kernel_.get(), frame.data(), frame.size(), 0),
              static_cast<ssize_t>(frame.size()));
    EXPECT_EQ(input_.Read(device_.get()), static_cast<ssize_t>(frame.size()));
    EXPECT_EQ(input_.size_bytes(), frame.size());
    EXPECT_TRUE(input_.FindPrefix(parked_.data(), &found_));
    return input_.Take(found_);
  }

  std::vector<uint8_t> Carrying(const std::vector<uint8_t>& packet) const {
    const VnetHeader header = Train();
    const fl_lane_prefix prefix = Prefix();
    std::vector<uint8_t> frame;
    Append(&frame, &header, kVnet);
    Append(&frame, &prefix, kPrefix);
    Append(&frame, packet.data(), packet.size());
    return frame;
  }

  // What must come out of it: header, addresses, the return tag, the rest of the packet.
  static std::vector<uint8_t> Expected(VnetHeader header, const std::vector<uint8_t>& packet) {
    const unsigned tag = FL_RETURN_TAG(3, FL_INGRESS);
    const uint8_t tag_bytes[] = {FL_RETURN_ETHERTYPE >> 8, FL_RETURN_ETHERTYPE & 0xff,
                                 static_cast<uint8_t>(tag >> 8), static_cast<uint8_t>(tag)};
    std::vector<uint8_t> bytes;
    Append(&bytes, &header, kVnet);
    Append(&bytes, packet.data(), 12);
    Append(&bytes, tag_bytes, sizeof(tag_bytes));
    Append(&bytes, packet.data() + 12, packet.size() - 12);
    return bytes;
  }

  static bool Same(const ReturnFrame& frame, const std::vector<uint8_t>& bytes) {
    return frame.size_bytes == bytes.size() &&
           std::equal(bytes.begin(), bytes.end(), frame.bytes.get());
  }

  bpf::UniqueFd device_, kernel_;
  std::vector<fl_lane_prefix> parked_{FL_PARKED};
  LaneInput input_;
  fl_lane_prefix found_{};
};

TEST_F(LaneInputTest, FramesOfEverySizeGoBackWithTheTagInPlaceOfThePrefix) {
  VnetHeader header = Train();
  header.hdr_len = 54 + 4;
  header.csum_start = 34 + 4;
  for (const size_t bytes : {14u, 60u, 1'514u, 33'000u, 34'000u, 65'549u, 67'546u, 67'547u, 67'570u,
                             67'571u, 67'572u, 200'000u}) {
    const auto packet = Packet(bytes);
    const ReturnFrame frame = Pass(Carrying(packet));
    EXPECT_EQ(found_.t0_ns, 7u);
    EXPECT_EQ(found_.rule[0], 5u);
    EXPECT_TRUE(Same(frame, Expected(header, packet))) << bytes << " bytes";
  }
}

TEST_F(LaneInputTest, AVlanTagThatStoodInThePrefixGoesBackBehindTheAddresses) {
  constexpr size_t kTagAt = 12;
  const uint8_t vlan[] = {0x81, 0x00, 0x00, 0x2a};
  for (const size_t bytes : {60u, 40'000u, 65'549u, 100'000u}) {
    auto packet = Packet(bytes);
    fl_lane_prefix prefix = Prefix();
    prefix.tagged = 1;
    const VnetHeader header{};
    std::vector<uint8_t> frame;
    Append(&frame, &header, kVnet);
    Append(&frame, &prefix, kTagAt);
    Append(&frame, vlan, sizeof(vlan));
    Append(&frame, reinterpret_cast<const uint8_t*>(&prefix) + kTagAt, kPrefix - kTagAt);
    Append(&frame, packet.data(), packet.size());
    const ReturnFrame back = Pass(frame);
    packet.insert(packet.begin() + 12, std::begin(vlan), std::end(vlan));
    EXPECT_TRUE(Same(back, Expected(header, packet))) << bytes << " bytes";
  }
}

TEST_F(LaneInputTest, AFrameWhosePrefixIsParkedKeepsItsBytes) {
  constexpr unsigned kPlace = 9;
  parked_[kPlace] = Prefix();
  const uint8_t tag[] = {FL_RETURN_ETHERTYPE >> 8, FL_RETURN_ETHERTYPE & 0xff, 0, kPlace};
  for (const size_t bytes : {20'000u, 65'549u, 150'000u}) {
    const auto packet = Packet(bytes);
    const VnetHeader header{};
    std::vector<uint8_t> frame;
    Append(&frame, &header, kVnet);
    Append(&frame, packet.data(), 12);
    Append(&frame, tag, sizeof(tag));
    Append(&frame, packet.data() + 12, packet.size() - 12);
    const ReturnFrame back = Pass(frame);
    EXPECT_EQ(found_.hook, 3);
    EXPECT_TRUE(Same(back, Expected(header, packet))) << bytes << " bytes";
  }
}

TEST_F(LaneInputTest, TheRoomOfAFrameThatHasGoneIsTakenForAnother) {
  const auto packet = Packet(60'000);
  ReturnFrame first = Pass(Carrying(packet));
  EXPECT_EQ(first.room_bytes, LaneInput::kRoomBytes);
  const uint8_t* room = first.bytes.get();
  input_.GiveBack(std::move(first));
  const ReturnFrame second = Pass(Carrying(packet));  // its room was taken before
  const ReturnFrame third = Pass(Carrying(packet));
  EXPECT_TRUE(second.bytes.get() == room || third.bytes.get() == room);
}

TEST_F(LaneInputTest, WhatTheProgramsDidNotSendIsRefused) {
  for (const size_t bytes : {1u, 40u, 71u, 1'500u}) {
    const std::vector<uint8_t> frame(bytes, 0xff);
    ASSERT_EQ(send(kernel_.get(), frame.data(), frame.size(), 0),
              static_cast<ssize_t>(frame.size()));
    ASSERT_EQ(input_.Read(device_.get()), static_cast<ssize_t>(bytes));
    EXPECT_FALSE(input_.FindPrefix(parked_.data(), &found_)) << bytes << " bytes";
  }
}

}  // namespace
}  // namespace faultline::network
