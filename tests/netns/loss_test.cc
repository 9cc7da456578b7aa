// NETWORK_LOSS, filters and leases with real packets.
#include <cmath>
#include <tuple>

#include "base/clock.h"
#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

using namespace std::chrono_literals;
namespace pb = ::network::v1;

constexpr uint16_t kPort = 7001;
constexpr uint16_t kOtherPort = 7002;
// How long an answer that should not come is waited for. One that should come has kPatience.
constexpr auto kLost = 150ms;

class LossTest : public DriverTest {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    if (!network_) return;
    server_ = std::make_unique<EchoServer>(*network_, kPort);
    other_ = std::make_unique<EchoServer>(*network_, kOtherPort);
  }

  // True when a fresh request of that kind gets its answer.
  bool Answers(Protocol protocol, const std::string& address = Network::kServer4,
               uint16_t port = kPort, uint16_t local_port = 0,
               std::chrono::milliseconds patience = kPatience) {
    Client client(*network_, protocol, address, port, local_port);
    return client.RoundTrip(patience).has_value();
  }
  bool IsLost(Protocol protocol, const std::string& address = Network::kServer4,
              uint16_t port = kPort, uint16_t local_port = 0) {
    return !Answers(protocol, address, port, local_port, kLost);
  }

  std::unique_ptr<EchoServer> server_;
  std::unique_ptr<EchoServer> other_;
};

TEST_F(LossTest, AHundredPercentLosesEverythingAndNothingIsLeftAfterwards) {
  SetTarget(ServerTarget());
  Arm(Loss(100));
  EXPECT_TRUE(IsLost(Protocol::kUdp));
  EXPECT_TRUE(IsLost(Protocol::kIcmp));
  EXPECT_TRUE(IsLost(Protocol::kUdp, Network::kServer6));
  // A server that is slow answers when nobody waits any more.
  const auto counters = CountersOnce([](const auto& now) { return now.dropped() >= 3; });
  EXPECT_GE(counters.dropped(), 3u);
  EXPECT_EQ(counters.dropped(), counters.matched());
  Disarm();
  EXPECT_TRUE(Answers(Protocol::kUdp));
}

// Address, and the direction: of what the client sends, on its way in at the server, or on its way
// out at the client.
using Way = std::tuple<const char*, pb::Direction>;
class LossShareTest : public LossTest, public testing::WithParamInterface<Way> {};

TEST_P(LossShareTest, TheShareAskedIsLostAndTheSameSeedLosesTheSamePackets) {
  constexpr int kPackets = 4000;
  const auto [address, direction] = GetParam();
  auto loss = Loss(20, direction);
  if (direction == pb::DIRECTION_INGRESS) {
    SetTarget(ServerTarget({kPort}));
  } else {
    SetTarget(ClientTarget());
    loss.mutable_filter()->add_peer_port(std::to_string(kPort));
  }
  std::vector<uint64_t> dropped;
  for (int run = 0; run < 2; ++run) {
    Arm(loss, 0, /*seed=*/42);
    Client client(*network_, Protocol::kUdp, address, kPort);
    client.SendInOrder(kPackets, [](int) { return "x"; });
    const auto counters = SettledCounters();
    EXPECT_EQ(counters.matched(), static_cast<uint64_t>(kPackets));
    dropped.push_back(counters.dropped());
    Disarm();
    (void)Sample();
  }
  // 800 +- 6 standard deviations of a binomial count (25.3).
  EXPECT_NEAR(static_cast<double>(dropped[0]), 800, 152);
  EXPECT_EQ(dropped[0], dropped[1]);
}

INSTANTIATE_TEST_SUITE_P(Ways, LossShareTest,
                         testing::Combine(testing::Values(Network::kServer4, Network::kServer6),
                                          testing::Values(pb::DIRECTION_INGRESS,
                                                          pb::DIRECTION_EGRESS)));

TEST_F(LossTest, SeveralFaultsOnOnePacketMultiplyTheirLosses) {
  constexpr int kPackets = 4000;
  SetTarget(ServerTarget({kPort}));
  Arm(Loss(50, pb::DIRECTION_INGRESS), 0, 1);
  Arm(Loss(50, pb::DIRECTION_INGRESS), 1, 2);
  Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
  client.SendInOrder(kPackets, [](int) { return "x"; });
  const double lost = static_cast<double>(SettledCounters(0).dropped() + Counters(1).dropped());
  EXPECT_NEAR(lost, 0.75 * kPackets, 170);
}

// Which of the numbered datagrams that a client sends do not arrive.
std::vector<bool> LostOf(const Network& network, int packets) {
  Sink sink(network, kPort + 2);
  Client client(network, Protocol::kUdp, Network::kServer4, kPort + 2);
  client.SendInOrder(packets, [](int i) { return fmt::format("{}", i); });
  std::vector<bool> lost(static_cast<size_t>(packets), true);
  for (const auto& text : sink.Take(lost.size()))
    lost[static_cast<size_t>(std::stoi(text))] = false;
  return lost;
}

TEST_F(LossTest, EveryNthPacketIsLostExactly) {
  SetTarget(ServerTarget({kPort + 2}));
  ArmKind("NETWORK_LOSS",
          {{"loss_percent", "20"}, {"model", "every_nth"}, {"direction", "ingress"}});
  const auto lost = LostOf(*network_, 1000);
  for (size_t i = 0; i < lost.size(); ++i) ASSERT_EQ(lost[i], i % 5 == 4) << i;
}

TEST_F(LossTest, LossInBurstsAndCorrelatedLossHaveTheirShareAndTheirRuns) {
  constexpr int kPackets = 20'000;
  SetTarget(ServerTarget({kPort + 2}));
  // With 20 % lost, the mean run is that of the bad periods, and 1 / ((1 - 0.2) (1 - 0.75)).
  const std::tuple<std::map<std::string, std::string>, double> models[] = {
      {{{"model", "gilbert_elliott"}, {"burst_packets", "8"}}, 8.0},
      {{{"correlation_percent", "75"}}, 5.0}};
  for (auto [parameters, run] : models) {
    parameters.insert({{"loss_percent", "20"}, {"direction", "ingress"}});
    ArmKind("NETWORK_LOSS", parameters);
    const auto lost = LostOf(*network_, kPackets);
    double count = 0, runs = 0;
    for (size_t i = 0; i < lost.size(); ++i) {
      count += lost[i];
      runs += lost[i] && (i == 0 || !lost[i - 1]);
    }
    EXPECT_EQ(static_cast<double>(Counters().dropped()), count);
    // Five standard errors, about 2 run packets sharing a fate; lengths of runs are geometric.
    EXPECT_NEAR(count / kPackets, 0.2, 5 * std::sqrt(0.2 * 0.8 * 2 * run / kPackets));
    EXPECT_NEAR(count / runs, run, 5 * run / std::sqrt(0.2 * kPackets / run));
    Disarm();
    (void)Sample();
  }
}

TEST_F(LossTest, OnlyTheTargetsPortsAreTouched) {
  SetTarget(ServerTarget({kPort}));
  Arm(Loss(100));
  EXPECT_TRUE(IsLost(Protocol::kUdp));
  EXPECT_TRUE(Answers(Protocol::kUdp, Network::kServer4, kOtherPort));
  EXPECT_TRUE(Answers(Protocol::kIcmp));
  EXPECT_EQ(CountersOnce([](const auto& now) { return now.matched() >= 1; }).matched(), 1u);
}

TEST_F(LossTest, OnlyTheTargetsAddressesAreTouched) {
  chaos::v1::Target target = ServerTarget();
  target.add_addresses(Network::kServer6);
  SetTarget(target);
  Arm(Loss(100));
  EXPECT_TRUE(IsLost(Protocol::kUdp, Network::kServer6));
  EXPECT_TRUE(Answers(Protocol::kUdp, Network::kServer4));
}

TEST_F(LossTest, TheProtocolFilterHolds) {
  SetTarget(ServerTarget());
  auto loss = Loss(100);
  loss.mutable_filter()->set_protocol(pb::PROTOCOL_UDP);
  Arm(loss);
  EXPECT_TRUE(IsLost(Protocol::kUdp));
  EXPECT_TRUE(Answers(Protocol::kTcp));
  EXPECT_TRUE(Answers(Protocol::kIcmp));
  loss.mutable_filter()->set_protocol(pb::PROTOCOL_ICMP);
  Arm(loss);
  EXPECT_TRUE(Answers(Protocol::kUdp));
  EXPECT_TRUE(IsLost(Protocol::kIcmp));
}

TEST_F(LossTest, TheLocalPortFilterHolds) {
  SetTarget(ServerTarget({kPort, kOtherPort}));
  auto loss = Loss(100);
  loss.mutable_filter()->add_local_port(std::to_string(kOtherPort));
  Arm(loss);
  EXPECT_TRUE(Answers(Protocol::kUdp));
  EXPECT_TRUE(IsLost(Protocol::kUdp, Network::kServer4, kOtherPort));
}

TEST_F(LossTest, ThePeerPortFilterHolds) {
  SetTarget(ServerTarget());
  auto loss = Loss(100);
  loss.mutable_filter()->add_peer_port(std::to_string(9001));
  loss.mutable_filter()->add_peer_port(std::to_string(9002));
  Arm(loss);
  EXPECT_TRUE(IsLost(Protocol::kUdp, Network::kServer4, kPort, 9001));
  EXPECT_TRUE(IsLost(Protocol::kUdp, Network::kServer4, kPort, 9002));
  EXPECT_TRUE(Answers(Protocol::kUdp, Network::kServer4, kPort, 9003));
}

TEST_F(LossTest, ThePeerNetworkFilterHoldsAlsoWhereNetworksNest) {
  SetTarget(ServerTarget());
  auto wide = Loss(100);
  wide.mutable_filter()->add_peer_cidr("10.0.0.0/8");
  Arm(wide, 0);
  auto narrow = Loss(100);
  narrow.mutable_filter()->add_peer_cidr("10.208.0.0/15");
  narrow.mutable_filter()->add_peer_port(std::to_string(9001));
  Arm(narrow, 1);
  // The longest network that covers the peer names both filters.
  EXPECT_TRUE(IsLost(Protocol::kUdp));
  EXPECT_TRUE(Answers(Protocol::kUdp, Network::kServer6));
  EXPECT_EQ(Counters(0).dropped(), 1u);
  Disarm(0);
  EXPECT_TRUE(Answers(Protocol::kUdp));
  EXPECT_TRUE(IsLost(Protocol::kUdp, Network::kServer4, kPort, 9001));
  Disarm(1);
  auto six = Loss(100);
  six.mutable_filter()->add_peer_cidr("fd00:209::/64");
  Arm(six);
  EXPECT_TRUE(IsLost(Protocol::kUdp, Network::kServer6));
  EXPECT_TRUE(Answers(Protocol::kUdp));
}

TEST_F(LossTest, WithoutHeartbeatPacketsPassUntouchedAndAreCounted) {
  SetTarget(ServerTarget({kPort}));
  Arm(Loss(100));
  EXPECT_TRUE(IsLost(Protocol::kUdp));
  EXPECT_EQ(CountersOnce([](const auto& now) { return now.dropped() >= 1; }).dropped(), 1u);
  lease_->heartbeat_until_ns = 0;
  EXPECT_TRUE(Answers(Protocol::kUdp));
  const auto counters = Counters();
  EXPECT_EQ(counters.dropped(), 1u);
  EXPECT_EQ(counters.lease_expired(), 1u);
  HoldLeases();
  EXPECT_TRUE(IsLost(Protocol::kUdp));
}

TEST_F(LossTest, WithoutControlLeasePacketsPassUntouched) {
  SetTarget(ServerTarget());
  Arm(Loss(100));
  lease_->control_until_ns = BoottimeNowNs();
  EXPECT_TRUE(Answers(Protocol::kUdp));
}

TEST_F(LossTest, AFaultEndsAtItsDeadlineAndArmingAgainMovesIt) {
  SetTarget(ServerTarget({kPort}));
  faults::ArmRequest request;
  request.key = Key();
  request.config.PackFrom(Loss(100));
  request.deadline_boottime_ns = BoottimeNowNs() - 1;
  ASSERT_TRUE(driver_->Arm(request).ok());
  EXPECT_TRUE(Answers(Protocol::kUdp));
  request.deadline_boottime_ns = BoottimeNowNs() + 3600 * kNanosPerSecond;
  ASSERT_TRUE(driver_->Arm(request).ok());
  EXPECT_TRUE(IsLost(Protocol::kUdp));
  // The same rule went on: its counters were kept.
  EXPECT_EQ(Counters().lease_expired(), 1u);
}

TEST_F(LossTest, LaterFragmentsFollowFaultsWithoutPortFilterOnly) {
  const std::string big(3000, 'f');
  SetTarget(ServerTarget({kPort}));
  Arm(Loss(100, pb::DIRECTION_INGRESS));
  Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
  client.Send(big);
  // Of three fragments, the one that shows its ports.
  EXPECT_EQ(CountersOnce([](const auto& now) { return now.matched() >= 1; }).matched(), 1u);
  SetTarget(ServerTarget());
  // The kernels' own neighbour discovery stays out of the count.
  auto loss = Loss(100, pb::DIRECTION_INGRESS);
  loss.mutable_filter()->set_protocol(pb::PROTOCOL_UDP);
  Arm(loss);
  client.Send(big);
  EXPECT_EQ(CountersOnce([](const auto& now) { return now.matched() >= 3; }).matched(), 3u);
}

TEST_F(LossTest, WhatCannotBeDoneIsRefusedWithASentence) {
  SetTarget(ServerTarget({kPort}));
  auto loss = Loss(100);
  loss.mutable_filter()->add_local_port(std::to_string(80));
  const Status status = TryArm(loss);
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(ToString(status.message()), testing::HasSubstr("local_port 80"));
  EXPECT_TRUE(driver_->Armed().empty());

  chaos::v1::Target missing = ServerTarget();
  missing.set_interface("nope0");
  EXPECT_EQ(driver_->SetTargets({missing})[0].code(), StatusCode::kNotFound);
  EXPECT_EQ(TryArm(Loss(1)).code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace faultline::netns_test
