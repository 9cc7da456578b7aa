// NETWORK_DUPLICATE, NETWORK_CORRUPT and NETWORK_REORDER with real packets.
#include <sys/socket.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>

#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

using Parameters = std::map<std::string, std::string>;

constexpr uint16_t kPort = 7001;
constexpr int kPackets = 2000;
constexpr double kShare = 0.2;
// Five standard deviations of a binomial count of 2000 at 20 %: 89.
const double kBound = 5 * std::sqrt(kPackets * kShare * (1 - kShare));

struct Way {
  bool ipv6;
  const char* direction;
};

class ChangeTest : public DriverTest, public testing::WithParamInterface<Way> {
 protected:
  // Sends numbered datagrams one way through the fault; what arrived, in order. The faulty side is
  // the server's on ingress, the client's on egress.
  std::vector<std::string> Send(const std::string& kind, Parameters parameters, size_t most,
                                uint64_t seed = 7) {
    const Way way = GetParam();
    SetTarget(way.direction == std::string("ingress") ? ServerTarget() : ClientTarget());
    parameters.insert({{"direction", way.direction}, {"protocol", "udp"}});
    Sink sink(*network_, kPort);
    Client client(*network_, Protocol::kUdp, way.ipv6 ? Network::kServer6 : Network::kServer4,
                  kPort);
    ArmKind(kind, parameters, 0, seed);
    client.SendInOrder(kPackets, Numbered);
    auto arrived = TakeAll(&sink, most);
    counters_ = SettledCounters();
    Disarm();
    (void)Sample();
    EXPECT_EQ(counters_.matched(), static_cast<uint64_t>(kPackets));
    EXPECT_EQ(counters_.lane_dropped(), 0u);
    return arrived;
  }
  static std::string Numbered(int i) { return fmt::format("{:06}", i) + std::string(60, 'p'); }

  chaos::v1::FaultCounters counters_;
};

TEST_P(ChangeTest, TheShareAskedComesTwiceInOrderAndTheSameAgainWithTheSameSeed) {
  const Parameters parameters = {{"duplicate_percent", "20"}};
  const auto arrived = Send("NETWORK_DUPLICATE", parameters, 2 * kPackets);
  EXPECT_NEAR(static_cast<double>(arrived.size()), kPackets * (1 + kShare), kBound);
  EXPECT_EQ(counters_.duplicated(), arrived.size() - kPackets);
  EXPECT_TRUE(std::ranges::is_sorted(arrived));
  std::map<std::string, int> times;
  for (const auto& datagram : arrived) ++times[datagram];
  EXPECT_EQ(times.size(), size_t{kPackets});
  EXPECT_TRUE(std::ranges::all_of(times, [](const auto& entry) { return entry.second <= 2; }));
  EXPECT_EQ(Send("NETWORK_DUPLICATE", parameters, 2 * kPackets), arrived);
}

TEST_P(ChangeTest, AWrongChecksumMakesReceiversDropTheShareAsked) {
  const auto arrived =
      Send("NETWORK_CORRUPT", {{"corrupt_percent", "20"}, {"part", "payload"}}, kPackets);
  EXPECT_NEAR(static_cast<double>(arrived.size()), kPackets * (1 - kShare), kBound);
  EXPECT_EQ(counters_.corrupted(), kPackets - arrived.size());
  EXPECT_TRUE(std::ranges::is_sorted(arrived));
  EXPECT_TRUE(std::ranges::all_of(
      arrived, [](const auto& text) { return text.ends_with(std::string(60, 'p')); }));
}

TEST_P(ChangeTest, ACorruptedPacketWithItsChecksumMadeRightArrivesWithTheBitsAskedFlipped) {
  const Parameters parameters = {
      {"corrupt_percent", "20"}, {"part", "payload"}, {"bits", "3"}, {"checksum", "right"}};
  const auto arrived = Send("NETWORK_CORRUPT", parameters, kPackets);
  ASSERT_EQ(arrived.size(), size_t{kPackets});
  uint64_t changed = 0;
  for (int i = 0; i < kPackets; ++i) {
    const std::string sent = Numbered(i);
    ASSERT_EQ(arrived[i].size(), sent.size());
    int bits = 0;
    for (size_t at = 0; at < sent.size(); ++at) {
      bits += std::popcount(static_cast<uint8_t>(arrived[i][at] ^ sent[at]));
    }
    EXPECT_TRUE(bits == 0 || bits == 3) << bits;
    changed += bits != 0;
  }
  EXPECT_EQ(counters_.corrupted(), changed);
  EXPECT_NEAR(static_cast<double>(changed), kPackets * kShare, kBound);
  EXPECT_EQ(Send("NETWORK_CORRUPT", parameters, kPackets), arrived);
}

TEST_P(ChangeTest, TheShareAskedIsOvertakenAndTheRestStaysInOrder) {
  const Parameters parameters = {{"reorder_percent", "20"}, {"hold_ms", "700"}};
  const auto arrived = Send("NETWORK_REORDER", parameters, kPackets);
  ASSERT_EQ(arrived.size(), size_t{kPackets});
  EXPECT_NEAR(static_cast<double>(counters_.reordered()), kPackets * kShare, kBound);
  // Those that came later than one with a higher number.
  std::vector<std::string> late, rest;
  std::string highest;
  for (const auto& datagram : arrived) {
    (datagram < highest ? late : rest).push_back(datagram);
    highest = std::max(highest, datagram);
  }
  // The last ones have none behind them that could overtake.
  EXPECT_LE(late.size(), counters_.reordered());
  EXPECT_GE(static_cast<double>(late.size()), 0.9 * static_cast<double>(counters_.reordered()));
  EXPECT_TRUE(std::ranges::is_sorted(late));
  EXPECT_TRUE(std::ranges::is_sorted(rest));
  // What a report says of hold_ms.
  EXPECT_EQ(counters_.delays_measured(), counters_.reordered());
  EXPECT_GE(counters_.delay_given_ns(), counters_.delays_measured() * 700'000'000);
}

constexpr Way kWays[] = {
    {false, "ingress"}, {false, "egress"}, {true, "ingress"}, {true, "egress"}};

INSTANTIATE_TEST_SUITE_P(Ways, ChangeTest, testing::ValuesIn(kWays));

class TcpChangeTest : public DriverTest, public testing::WithParamInterface<Way> {
 protected:
  // Sends TCP data to the server and back, one way through the fault; whether it came back as it
  // was.
  bool Survives(const std::string& kind, Parameters parameters, size_t bytes = size_t{1} << 20) {
    const Way way = GetParam();
    EchoServer server(*network_, kPort);
    SetTarget(ServerTarget({kPort}));
    Client client(*network_, Protocol::kTcp, way.ipv6 ? Network::kServer6 : Network::kServer4,
                  kPort);
    parameters.insert({"direction", way.direction});
    ArmKind(kind, parameters);
    std::string data(bytes, '\0');
    for (size_t i = 0; i < bytes; ++i) data[i] = static_cast<char>(i * 2654435761u >> 24);
    std::thread sender([&] { client.Send(data); });
    const std::string back = client.Receive(bytes);
    sender.join();
    counters_ = SettledCounters();
    return back == data;
  }
  chaos::v1::FaultCounters counters_;
};

TEST_P(TcpChangeTest, TrainsOfSegmentsAreCorruptedPacketByPacketAndTcpNoticesWrongChecksums) {
  // So many that of the share asked six standard deviations (one run in ten million) are a part.
  constexpr size_t kBytes = size_t{4} << 20;
  EXPECT_TRUE(Survives("NETWORK_CORRUPT", {{"corrupt_percent", "2"}}, kBytes));
  EXPECT_GE(counters_.matched(), kBytes / 1448);
  const auto matched = static_cast<double>(counters_.matched());
  const double expected = 0.02 * matched;
  EXPECT_NEAR(static_cast<double>(counters_.corrupted()), expected, 6 * std::sqrt(expected));
}

TEST_P(TcpChangeTest, DataWhoseChecksumWasMadeRightIsTakenAsItIs) {
  EXPECT_FALSE(Survives("NETWORK_CORRUPT",
                        {{"corrupt_percent", "5"}, {"part", "payload"}, {"checksum", "right"}}));
  EXPECT_GT(counters_.corrupted(), 0u);
}

TEST_P(TcpChangeTest, DuplicatesAndLateSegmentsDoNotDisturbTheData) {
  EXPECT_TRUE(Survives("NETWORK_DUPLICATE", {{"duplicate_percent", "30"}}));
  EXPECT_GT(counters_.duplicated(), 0u);
  EXPECT_TRUE(Survives("NETWORK_REORDER", {{"reorder_percent", "10"}, {"hold_ms", "3"}}));
  EXPECT_GT(counters_.reordered(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Ways, TcpChangeTest, testing::ValuesIn(kWays));

class ChangeHealTest : public DriverTest, public testing::WithParamInterface<const char*> {};

TEST_P(ChangeHealTest, HealsAndLeavesNothing) {
  const std::string kind = GetParam();
  const std::string before = network_->KernelState(network_->server_netns());
  const std::map<std::string, Parameters> all = {
      {"NETWORK_DUPLICATE", {{"duplicate_percent", "100"}}},
      {"NETWORK_CORRUPT", {{"corrupt_percent", "100"}}},
      {"NETWORK_REORDER", {{"reorder_percent", "100"}, {"hold_ms", "60000"}}}};
  EchoServer server(*network_, kPort);
  SetTarget(ServerTarget({kPort}));
  ArmKind(kind, all.at(kind));
  Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
  client.Send("once");
  constexpr std::chrono::milliseconds kLost{300};
  if (kind == "NETWORK_DUPLICATE") {
    EXPECT_EQ(client.Receive(8), "onceonce");
  } else {
    EXPECT_EQ(client.Receive(1, kLost), "");
  }
  Disarm();
  // What was held back is let out at once, what was lost stays lost.
  client.Send("more");
  const std::string rest = kind == "NETWORK_REORDER" ? "oncemore" : "more";
  EXPECT_EQ(client.Receive(rest.size()), rest);
  EXPECT_EQ(client.Receive(1, kLost), "");
  ExpectNothingLeft(before);
}

INSTANTIATE_TEST_SUITE_P(Kinds, ChangeHealTest,
                         testing::Values("NETWORK_DUPLICATE", "NETWORK_CORRUPT",
                                         "NETWORK_REORDER"));

}  // namespace
}  // namespace faultline::netns_test
