// NETWORK_BANDWIDTH with real packets.
#include <sys/socket.h>

#include <cmath>

#include "base/clock.h"
#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

using namespace std::chrono_literals;

constexpr uint16_t kPort = 7001;
constexpr size_t kHeaderBytes = 14 + 20 + 8;  // Ethernet, IPv4, UDP
constexpr size_t kMoreInIpv6 = 20;

class BandwidthTest : public DriverTest {};

double SecondsSince(uint64_t began_ns) {
  return static_cast<double>(BoottimeNowNs() - began_ns) / 1e9;
}

struct Way {
  bool ipv6;
  const char* direction;
};

class RateTest : public BandwidthTest, public testing::WithParamInterface<Way> {};

// The faulty side is the server's on ingress, the client's on egress.
TEST_P(RateTest, PacketsComeNoFasterThanTheRate) {
  constexpr int kPackets = 150, kAttempts = 5;
  constexpr double kRateBps = 1e6;
  const auto [ipv6, direction] = GetParam();
  const bool in = direction == std::string("ingress");
  const std::string payload(1000 - kHeaderBytes - (ipv6 ? kMoreInIpv6 : 0), 'x');
  Sink sink(*network_, kPort);
  SetTarget(in ? ServerTarget() : ClientTarget());
  Client client(*network_, Protocol::kUdp, ipv6 ? Network::kServer6 : Network::kServer4, kPort);
  bool as_asked = false;
  for (int attempt = 0; attempt < kAttempts && !as_asked; ++attempt) {
    ArmKind("NETWORK_BANDWIDTH", {{"rate_bps", "1mbps"},
                                  {"queue_bytes", "1MB"},
                                  {"direction", direction},
                                  {in ? "local_port" : "peer_port", std::to_string(kPort)}});
    const uint64_t began_ns = BoottimeNowNs();
    for (int i = 0; i < kPackets; ++i) client.Send(payload);
    EXPECT_EQ(sink.Take(kPackets, kPatience).size(), size_t{kPackets});
    // Of 150 packets of 1000 bytes each takes 8 ms.
    EXPECT_GE(SecondsSince(began_ns), kPackets * 8000 / kRateBps);
    const auto counters = SettledCounters();
    EXPECT_EQ(counters.queued(), static_cast<uint64_t>(kPackets));
    EXPECT_EQ(counters.dropped(), 0u);
    EXPECT_EQ(counters.lane_dropped(), 0u);
    // Each after the first waited for the one before it, so the rate is known. Another one is seen
    // only where the sender was too slow, or the first or the last left late.
    EXPECT_LT(counters.link_bytes(), kPackets * 1000u);
    const double seen_bps = static_cast<double>(counters.link_bytes()) * 8e9 /
                            static_cast<double>(counters.link_busy_ns());
    as_asked = counters.link_bytes() >= kPackets * 1000u * 9 / 10 &&
               std::abs(seen_bps - kRateBps) <= kRateBps / 5;
    Disarm();
    (void)Sample();
  }
  EXPECT_TRUE(as_asked);
}

INSTANTIATE_TEST_SUITE_P(Ways, RateTest,
                         testing::Values(Way{false, "ingress"}, Way{false, "egress"},
                                         Way{true, "ingress"}, Way{true, "egress"}));

TEST_F(BandwidthTest, AFullQueueDropsWhatFindsNoRoomAndCountsIt) {
  constexpr int kPackets = 200;
  constexpr double kBytesPerSecond = 2500;
  Sink sink(*network_, kPort);
  SetTarget(ServerTarget({kPort}));
  ArmKind("NETWORK_BANDWIDTH",
          {{"rate_bps", "20kbps"}, {"queue_bytes", "20000"}, {"direction", "ingress"}});
  Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
  const uint64_t began_ns = BoottimeNowNs();
  for (int i = 0; i < kPackets; ++i) client.Send(std::string(1000 - kHeaderBytes, 'x'));
  const auto counters = SettledCounters();
  const double drained = SecondsSince(began_ns) * kBytesPerSecond / 1000 + 1;
  EXPECT_EQ(counters.matched(), static_cast<uint64_t>(kPackets));
  const double taken = kPackets - static_cast<double>(counters.dropped());
  // Room for 20 packets, and for as many more as the link has sent meanwhile.
  EXPECT_GE(taken, 20);
  EXPECT_LE(taken, 20 + drained);
  // Healed, the queue goes out at once: nothing waits out its eight seconds.
  Disarm();
  EXPECT_EQ(driver_->Load().held_packets, 0u);
  const auto sent = static_cast<size_t>(taken);
  EXPECT_EQ(sink.Take(sent, kPatience).size(), sent);
  EXPECT_TRUE(sink.Take(1).empty());
}

TEST_F(BandwidthTest, TrainsOfSegmentsWaitPacketByPacketAndArriveWhole) {
  constexpr size_t kBytes = 1 << 20;
  EchoServer server(*network_, kPort);
  SetTarget(ServerTarget({kPort}));
  ArmKind("NETWORK_BANDWIDTH",
          {{"rate_bps", "40mbps"}, {"queue_bytes", "30000"}, {"direction", "ingress"}});
  for (const char* address : {Network::kServer4, Network::kServer6}) {
    Client client(*network_, Protocol::kTcp, address, kPort);
    const auto before = Counters();
    const std::string data(kBytes, 'd');
    std::thread sender([&] { client.Send(data); });
    const uint64_t began_ns = BoottimeNowNs();
    EXPECT_EQ(client.Receive(kBytes), data);
    sender.join();
    // The queue was empty at the beginning, so all bytes took their time: 8 Mbit of 40.
    EXPECT_GE(SecondsSince(began_ns), 0.2);
    const auto counters = SettledCounters();
    EXPECT_GE(counters.queued() - before.queued(), kBytes / 1448);
    // A sender that is not told of the rate fills a queue of 30 kB sooner or later.
    EXPECT_GT(counters.dropped(), before.dropped());
  }
}

TEST_F(BandwidthTest, AFastLinkTakesTrainsWhole) {
  constexpr size_t kBytes = 8 << 20;
  EchoServer server(*network_, kPort);
  SetTarget(ServerTarget({kPort}));
  ArmKind("NETWORK_BANDWIDTH",
          {{"rate_bps", "2gbps"}, {"queue_bytes", "16MiB"}, {"direction", "ingress"}});
  Client client(*network_, Protocol::kTcp, Network::kServer4, kPort);
  const std::string data(kBytes, 'd');
  std::thread sender([&] { client.Send(data); });
  EXPECT_EQ(client.Receive(kBytes), data);
  sender.join();
  EXPECT_LT(SettledCounters().queued(), kBytes / 1448);
}

TEST_F(BandwidthTest, WhatIsNotMatchedDoesNotWait) {
  EchoServer server(*network_, kPort), other(*network_, kPort + 1);
  SetTarget(ServerTarget());
  ArmKind("NETWORK_BANDWIDTH",
          {{"rate_bps", "12kbps"}, {"direction", "both"}, {"local_port", std::to_string(kPort)}});
  Client slow(*network_, Protocol::kUdp, Network::kServer4, kPort);
  slow.Send(std::string(1400, 'x'));  // the link is busy for a second, each way
  Client fast(*network_, Protocol::kUdp, Network::kServer4, kPort + 1);
  EXPECT_TRUE(fast.AnswersBefore(250));
}

TEST_F(BandwidthTest, HealsAndLeavesNothing) {
  const std::string before = network_->KernelState(network_->server_netns());
  EchoServer server(*network_, kPort);
  SetTarget(ServerTarget());
  ArmKind("NETWORK_BANDWIDTH", {{"rate_bps", "12kbps"}, {"direction", "both"}});
  Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
  client.Send(std::string(1400, 'x'));
  EXPECT_GE(client.RoundTrip()->count(), 900);
  Disarm();
  EXPECT_TRUE(client.AnswersBefore(250));
  ExpectNothingLeft(before);
}

}  // namespace
}  // namespace faultline::netns_test
