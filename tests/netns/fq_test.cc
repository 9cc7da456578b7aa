// Delays that the kernel holds. What the TAP lane's tests demand of delays they demand of these as
// well: without jitter and up to half a second.
#include <thread>

#include "netns/fq_fixture.h"
#include "netns/one_processor.h"

namespace faultline::netns_test {
namespace {

using namespace std::chrono_literals;
namespace pb = ::network::v1;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

constexpr uint16_t kPort = 7001;
constexpr double kDelayMs = 300;
constexpr double kUntouchedMs = 250;

// Why a driver with that lane cannot be made.
Status MakeWith(const std::string& lane) {
  faults::DriverContext context;
  context.lane = lane;
  return network::MakeNetworkDriver(context).status();
}

TEST(LaneChoice, AnUnknownLaneIsRefused) {
  if (const auto reason = WhyNot()) GTEST_SKIP() << *reason;
  const Status status = MakeWith("netem");
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("auto, tap and fq"));
}

TEST(LaneChoice, FqIsRefusedWhereTheKernelHasNone) {
  if (const auto reason = WhyNot()) GTEST_SKIP() << *reason;
  const Status status = MakeWith("fq");
  if (bpf::HasFeature("fq")) {
    EXPECT_TRUE(status.ok()) << status;
  } else {
    EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(status.message()), HasSubstr("no fq qdisc"));
  }
}

TEST_F(FqTest, ConstantDelaysWaitInTheKernelAndJitterInTheTapLane) {
  EchoServer server(*network_, kPort);
  SetTarget(ServerTarget({kPort}));
  Arm(Latency(kDelayMs));
  EXPECT_GE(RoundTripMs(kPort), kDelayMs);
  EXPECT_EQ(Waited(), 1);
  const auto counters = SettledCounters();
  EXPECT_EQ(counters.delayed(), 1u);
  EXPECT_EQ(counters.delays_measured(), 1u);
  EXPECT_EQ(counters.delay_asked_ns(), static_cast<uint64_t>(kDelayMs * 1e6));
  EXPECT_GE(counters.delay_given_ns(), counters.delay_asked_ns());
  auto jitter = Latency(kDelayMs);
  jitter.set_jitter_ms(1);
  Disarm();
  Arm(jitter);
  EXPECT_GE(RoundTripMs(kPort), kDelayMs - 10);
  Disarm();
  Arm(Latency(600));
  EXPECT_GE(RoundTripMs(kPort), 600);
  EXPECT_EQ(Waited(), 1) << "neither jitter nor long delays are for the kernel";
}

TEST_F(FqTest, TheTapLaneCanBeAskedForInstead) {
  MakeDriver({.lane = "tap"});
  EchoServer server(*network_, kPort);
  SetTarget(ServerTarget({kPort}));
  Arm(Latency(kDelayMs));
  EXPECT_GE(RoundTripMs(kPort), kDelayMs);
  EXPECT_THAT(Links(), Not(Contains(kFqPair)));
  for (const auto& capability : driver_->Probe()) {
    EXPECT_EQ(capability.available(), capability.name() != "fq" && capability.reason().empty());
  }
}

TEST_F(FqTest, AFlowKeepsItsOrderInEachDirection) {
  constexpr int kPackets = 3000;
  const OneProcessor in_order;  // as far as the lane
  EchoServer server(*network_, kPort);
  Sink sink(*network_, kPort + 1);
  SetTarget(ServerTarget());
  for (const auto direction : {pb::DIRECTION_INGRESS, pb::DIRECTION_EGRESS}) {
    Arm(Latency(50, direction));
    const bool in = direction == pb::DIRECTION_INGRESS;
    Client client(*network_, Protocol::kUdp, Network::kServer4, in ? kPort + 1 : kPort);
    std::string sent;
    for (int i = 0; i < kPackets; ++i) {
      client.Send(fmt::format("{:06}", i));
      sent += fmt::format("{:06}", i);
      // What the echo answers comes a few at a time: its sockets hold no more.
      if (i % 50 == 0) std::this_thread::sleep_for(10ms);
    }
    std::string arrived;
    if (in) {
      for (const std::string& datagram : sink.Take(kPackets, kPatience)) arrived += datagram;
    } else {
      arrived = client.Receive(sent.size());
    }
    EXPECT_EQ(arrived.size(), sent.size());
    EXPECT_TRUE(arrived == sent) << "direction " << direction;
    EXPECT_EQ(SettledCounters().lane_dropped(), 0u);
    Disarm();
    (void)Sample();
  }
  EXPECT_GE(Waited(), 2 * kPackets);
}

TEST_F(FqTest, ALongDelayDoesNotHoldBackAShortOne) {
  EchoServer server(*network_, kPort), other(*network_, kPort + 1);
  SetTarget(ServerTarget());
  auto slow = Latency(500), fast = Latency(20);
  slow.mutable_filter()->add_local_port(std::to_string(kPort));
  fast.mutable_filter()->add_local_port(std::to_string(kPort + 1));
  Arm(slow, 0);
  Arm(fast, 1);
  std::vector<std::unique_ptr<Client>> slow_clients;
  for (int i = 0; i < 50; ++i) {
    slow_clients.push_back(
        std::make_unique<Client>(*network_, Protocol::kUdp, Network::kServer4, kPort));
    slow_clients.back()->Send("slow");
  }
  Client client(*network_, Protocol::kUdp, Network::kServer4, kPort + 1);
  EXPECT_TRUE(client.AnswersBefore(kUntouchedMs));
  for (const auto& each : slow_clients) EXPECT_EQ(each->Receive(4), "slow");
  EXPECT_GE(Waited(), 51);
}

TEST_F(FqTest, AFullLaneDropsCountsWhatItDropsAndRecovers) {
  constexpr int kPackets = 200, kBytes = 1000, kFit = 50;
  constexpr uint64_t kHeaders = 14 + 20 + 8;
  MakeDriver({.lane = "fq", .fq_bytes = kFit * (kBytes + kHeaders + FL_FQ_PACKET_BYTES)});
  Sink sink(*network_, kPort);
  SetTarget(ServerTarget({kPort}));
  Arm(Latency(500, pb::DIRECTION_INGRESS));
  Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < kPackets; ++i) client.Send(std::string(kBytes, 'x'));
  const auto took = std::chrono::steady_clock::now() - began;
  EXPECT_LE(driver_->Load().held_packets, static_cast<uint64_t>(kFit));
  const size_t arrived = sink.Take(kPackets, 1500ms).size();
  const auto counters = SettledCounters();
  EXPECT_EQ(counters.delayed(), static_cast<uint64_t>(kPackets));
  EXPECT_EQ(counters.lane_dropped(), kPackets - arrived);
  // Unless sending took longer than a packet is held.
  if (took < 500ms) {
    EXPECT_EQ(arrived, static_cast<size_t>(kFit));
  }
  client.Send("again");
  EXPECT_EQ(sink.Take(1, kPatience).size(), 1u);
  EXPECT_EQ(driver_->Load().held_bytes, 0u);
}

TEST_F(FqTest, ARuleThatPicksAmongAFlowsPacketsBesideAnotherSendsAllToTheTapLane) {
  EchoServer server(*network_, kPort);
  SetTarget(ServerTarget());
  Arm(UdpLatency(200), 0);
  auto large = UdpLatency(100);
  large.mutable_filter()->set_min_packet_bytes(1000);
  Arm(large, 1);
  EXPECT_GE(RoundTripMs(kPort), 200);
  EXPECT_EQ(Waited(), 0);
  Disarm(1);
  EXPECT_GE(RoundTripMs(kPort), 200);
  EXPECT_EQ(Waited(), 1);
}

TEST_F(FqTest, WhatAlsoMeetsAnotherFaultWaitsInTheTapLane) {
  EchoServer server(*network_, kPort), other(*network_, kPort + 1);
  SetTarget(ServerTarget());
  Arm(UdpLatency(200), 0);
  ArmKind("NETWORK_DUPLICATE", {{"duplicate_percent", "100"}, {"local_port", "7001"}}, 1);
  EXPECT_GE(RoundTripMs(kPort), 200);
  EXPECT_EQ(Waited(), 0);
  EXPECT_GE(RoundTripMs(kPort + 1), 200);
  EXPECT_EQ(Waited(), 1);
  EXPECT_EQ(SettledCounters(0).lane_dropped(), 0u);
  EXPECT_EQ(SettledCounters(0).delays_measured(), 2u);
}

}  // namespace
}  // namespace faultline::netns_test
