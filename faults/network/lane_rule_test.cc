#include "faults/network/lane_rule.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "faults/network/datapath.h"
#include "faults/network/lane_frame.h"
#include "faults/network/test_frames.h"

namespace faultline::network {
namespace {

constexpr uint64_t kSecondNs = 1'000'000'000;

TEST(RateLimitTest, EachFrameTakesItsTimeAndWaitsForThoseBefore) {
  RateLimit limit(8'000'000, 0, 1'000'000);  // a byte a microsecond
  EXPECT_EQ(limit.Pass(0, kSecondNs, 1000)->delay_ns, 1'000'000u);
  EXPECT_EQ(limit.Pass(0, kSecondNs, 1000)->delay_ns, 2'000'000u);
  EXPECT_EQ(limit.Pass(0, kSecondNs + 500'000, 500)->delay_ns, 2'000'000u);
  EXPECT_EQ(limit.Pass(0, 2 * kSecondNs, 100)->delay_ns, 100'000u);
}

TEST(RateLimitTest, ABurstPassesAtOnceAndItsCreditComesBackWithTime) {
  RateLimit limit(8'000'000, 3000, 1'000'000);
  for (const uint64_t at_ns : {kSecondNs, 2 * kSecondNs}) {
    for (int i = 0; i < 3; ++i) EXPECT_EQ(limit.Pass(0, at_ns, 1000)->delay_ns, 0u);
    EXPECT_EQ(limit.Pass(0, at_ns, 1000)->delay_ns, 1'000'000u);
  }
}

TEST(RateLimitTest, AFullQueueTakesNothingUntilItHasRoom) {
  RateLimit limit(8'000'000, 0, 3000);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limit.Pass(0, kSecondNs, 1000));
  EXPECT_FALSE(limit.Pass(0, kSecondNs, 1000));
  EXPECT_FALSE(limit.Pass(0, kSecondNs + 999'999, 1000));
  EXPECT_EQ(limit.Pass(0, kSecondNs + 1'000'000, 1000)->delay_ns, 3'000'000u);
}

TEST(RateLimitTest, AnIdleLinkTakesAFrameThatIsLargerThanTheQueue) {
  RateLimit limit(8'000'000, 0, 1514);
  EXPECT_TRUE(limit.Pass(0, kSecondNs, 9000));
  EXPECT_FALSE(limit.Pass(0, kSecondNs, 100));
}

TEST(RateLimitTest, WhatHasGoneAnotherWayTakesNoRoomAndNoTime) {
  RateLimit limit(8'000'000, 0, 3000);
  for (const unsigned direction : {0, 1}) {
    EXPECT_TRUE(limit.Pass(direction, kSecondNs, 3000));
    EXPECT_FALSE(limit.Pass(direction, kSecondNs, 1000));
  }
  limit.Empty();
  for (const unsigned direction : {0, 1}) {
    const auto passage = limit.Pass(direction, kSecondNs, 1000);
    ASSERT_TRUE(passage);
    EXPECT_EQ(passage->delay_ns, 1'000'000u);
    EXPECT_FALSE(passage->waited);
  }
}

TEST(RateLimitTest, TheDirectionsAreTwoLinks) {
  RateLimit limit(8'000'000, 0, 2000);
  EXPECT_EQ(limit.Pass(0, kSecondNs, 2000)->delay_ns, 2'000'000u);
  EXPECT_EQ(limit.Pass(1, kSecondNs, 1000)->delay_ns, 1'000'000u);
}

TEST(RateLimitTest, HoldsTheRateToAThousandthWhateverTheSizes) {
  for (const uint64_t rate_bps : {12'000ull, 1'000'000ull, 10'000'000'000ull}) {
    RateLimit limit(rate_bps, 0, 1 << 26);
    uint64_t last_ns = 0;
    double bytes = 0;
    for (size_t size = 60; size <= 1514; ++size) {
      const auto wait = limit.Pass(0, kSecondNs, size);
      if (!wait) break;
      last_ns = wait->delay_ns;
      bytes += static_cast<double>(size);
    }
    const double got_bps = bytes * 8 * 1e9 / static_cast<double>(last_ns);
    EXPECT_NEAR(got_bps / static_cast<double>(rate_bps), 1, 1e-3) << rate_bps;
  }
}

TEST(LaneRules, OnlyRatesThatTrainsWouldClogNeedSinglePackets) {
  EXPECT_TRUE(NeedsSinglePackets(RateLimit(10'000'000, 0, 1 << 20)));
  EXPECT_TRUE(NeedsSinglePackets(RateLimit(1'000'000'000, 0, 65'536)));
  EXPECT_FALSE(NeedsSinglePackets(RateLimit(1'000'000'000, 0, 1 << 20)));
  EXPECT_FALSE(NeedsSinglePackets(DelayModel()));
}

// A frame as the lane has it: header, 16 bytes up to the network header, IPv4, TCP.
std::vector<uint8_t> TcpTrain(size_t payload_bytes, uint16_t segment_bytes) {
  VnetHeader header{};
  constexpr uint16_t kTransportAt = 4 + 14 + 20;
  if (segment_bytes != 0) {
    header = {.flags = VnetHeader::kNeedsChecksum,
              .gso_type = 1,
              .hdr_len = 0,
              .gso_size = segment_bytes,
              .csum_start = kTransportAt,
              .csum_offset = 16};
  }
  std::vector<uint8_t> frame(sizeof(header) + kTransportAt + 32 + payload_bytes);
  std::memcpy(frame.data(), &header, sizeof(header));
  frame[sizeof(header) + kTransportAt + 12] = 8 << 4;  // header of 32 bytes
  return frame;
}

TEST(WireBytesTest, CountsTheHeadersOfEachSegment) {
  constexpr size_t kHeaders = 14 + 20 + 32;
  EXPECT_EQ(WireBytes(TcpTrain(1448, 0)), kHeaders + 1448);
  EXPECT_EQ(WireBytes(TcpTrain(1448, 1448)), kHeaders + 1448);
  EXPECT_EQ(WireBytes(TcpTrain(10 * 1448, 1448)), 10 * (kHeaders + 1448));
  EXPECT_EQ(WireBytes(TcpTrain(10 * 1448 + 1, 1448)), 10 * (kHeaders + 1448) + kHeaders + 1);
}

// What only waits behind others would make the mean delay of those that are meant smaller.
TEST(HttpRuleTest, MeasuresTheDelayOfTheRequestsThatAreMeantOnly) {
  LaneRule rule =
      HttpAnswerer({.path_prefixes = {"/late"}}, {.kind = HttpOutcome::Kind::kPass, .delay_ns = 9});
  for (const auto& [path, meant] : {std::pair("/late", true), std::pair("/other", false)}) {
    TestFrame frame;
    frame.payload = std::string("GET ") + path + " HTTP/1.1\r\n\r\n";
    auto bytes = frame.Build();
    const Treatment treatment = Treat(&rule, {.direction = FL_EGRESS, .bytes = bytes});
    EXPECT_EQ(treatment.acted, meant) << path;
    EXPECT_EQ(treatment.not_meant, !meant) << path;
  }
}

TEST(HoldNsTest, IsWhatARuleAsksOfTheFramesThatItMeans) {
  constexpr uint64_t kDelayNs = 70'000;
  EXPECT_EQ(HoldNs(DelayModel(kDelayNs, {.width_ns = 60'000}, 1)), kDelayNs);
  EXPECT_EQ(HoldNs(HoldBack{kDelayNs}), kDelayNs);
  EXPECT_EQ(HoldNs(HttpAnswerer({}, {.status = 500, .delay_ns = kDelayNs})), kDelayNs);
  EXPECT_EQ(HoldNs(RateLimit(8'000'000, 0, 3000)), 0u);
  EXPECT_EQ(HoldNs(Resetter{}), 0u);
}

}  // namespace
}  // namespace faultline::network
