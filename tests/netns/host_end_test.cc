// Targets whose programs are on the host's end of their veth pair: the client's namespace is the
// host here. What is asked for is the target's own view all the same.
#include <sched.h>

#include <cerrno>

#include "base/histogram.h"
#include "netns/follow_fixture.h"

namespace faultline::netns_test {
namespace {

namespace pb = ::network::v1;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class HostEndTest : public FollowTest {
 protected:
  void SetUp() override {
    FollowTest::SetUp();
    if (!driver_) return;
    own_ = *bpf::OpenNetns("");
    Enter(*bpf::OpenNetns(network_->client_netns()));
  }
  void TearDown() override {
    driver_.reset();
    if (own_.valid()) Enter(own_);
    FollowTest::TearDown();
  }
  static void Enter(const bpf::UniqueFd& netns) { ASSERT_EQ(setns(netns.get(), CLONE_NEWNET), 0); }

  chaos::v1::Target Target(const std::vector<uint32_t>& ports = {}) const {
    auto target = ServerTarget(ports);
    target.set_at_host_end(true);
    return target;
  }
  // The same by the name of the host's end itself.
  chaos::v1::Target ByItsHostEnd() const {
    auto target = Target();
    target.clear_netns();
    return target;
  }

  bpf::UniqueFd own_;
};

TEST_P(HostEndTest, EveryDirectionIsDelayedAsTheTargetSeesIt) {
  EchoServer server(*network_, kPort);
  for (const auto& target : {Target(), ByItsHostEnd()}) {
    SetTarget(target);
    for (const auto protocol : {Protocol::kTcp, Protocol::kUdp, Protocol::kIcmp}) {
      for (const auto direction :
           {pb::DIRECTION_EGRESS, pb::DIRECTION_INGRESS, pb::DIRECTION_BOTH}) {
        const char* address =
            direction == pb::DIRECTION_INGRESS ? Network::kServer6 : Network::kServer4;
        Client client(*network_, protocol, address, kPort);
        Arm(Latency(kDelayMs, direction));
        const auto time = client.RoundTrip();
        ASSERT_TRUE(time.has_value());
        EXPECT_GE(time->count(), (direction == pb::DIRECTION_BOTH ? 2 : 1) * kDelayMs);
        const auto counters = SettledCounters();
        EXPECT_EQ(counters.delayed(), counters.matched());
        EXPECT_EQ(counters.delays_measured(), counters.delayed());
        EXPECT_EQ(counters.lane_dropped(), 0u);
        Disarm();
        EXPECT_TRUE(client.AnswersBefore(kDelayMs));
      }
    }
    EXPECT_EQ(FaultlineIn(network_->server_netns()), "") << "nothing of ours is inside";
    EXPECT_THAT(FaultlineIn(network_->client_netns()), HasSubstr("fl-"));
    driver_->SetTargets({});
  }
  driver_.reset();
  EXPECT_EQ(FaultlineIn(network_->client_netns()), "");
  EXPECT_THAT(undo_.records(), IsEmpty());
}

TEST_P(HostEndTest, LossOnTheWayInAndOnTheWayOutAreToldApart) {
  using namespace std::chrono_literals;
  Sink sink(*network_, kPort);
  SetTarget(Target());
  Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
  const auto loss = [](pb::Direction direction) {
    auto made = Loss(100, direction);
    made.mutable_filter()->set_protocol(pb::PROTOCOL_UDP);  // IPv6 has its own to say now and then
    return made;
  };
  Arm(loss(pb::DIRECTION_EGRESS));
  client.Send("in");
  EXPECT_THAT(sink.Take(1, kPatience), ElementsAre("in"));
  Disarm();
  Arm(loss(pb::DIRECTION_INGRESS));
  client.Send("lost");
  EXPECT_THAT(sink.Take(1, 300ms), IsEmpty());
  EXPECT_EQ(Counters().dropped(), 1u);
}

TEST_P(HostEndTest, PortsPeersAndAnswersAreTheTargets) {
  EchoServer server(*network_, kPort), other(*network_, kPort + 1);
  SetTarget(Target({kPort}));
  Client standing(*network_, Protocol::kTcp, Network::kServer4, kPort);
  ASSERT_TRUE(standing.RoundTrip());
  ArmKind("CONNECT_FAIL", {{"failure", "refused"}, {"direction", "ingress"}});
  EXPECT_EQ(TryConnect(*network_, Network::kServer4, kPort), ECONNREFUSED);
  EXPECT_EQ(TryConnect(*network_, Network::kServer4, kPort + 1), 0);
  EXPECT_TRUE(standing.RoundTrip());
  Disarm();
  ArmKind("TCP_RESET", {{"direction", "egress"}, {"peer_cidr", Network::kClient4}});
  standing.Send("x");
  EXPECT_EQ(ErrorOf(standing.fd()), ECONNRESET);
  Disarm();
  EXPECT_EQ(TryConnect(*network_, Network::kServer4, kPort), 0);
}

TEST_P(HostEndTest, RequestsAreMeasuredAsAtTheTarget) {
  constexpr int kRequests = 5;
  EchoServer server(*network_, kPort);
  SetTarget(Target({kPort}));
  Arm(Latency(kDelayMs));
  (void)Sample();
  Client client(*network_, Protocol::kTcp, Network::kServer4, kPort);
  for (int i = 0; i < kRequests; ++i) ASSERT_TRUE(client.RoundTrip());
  const auto sample = Sample();
  Histogram histogram;
  ASSERT_TRUE(histogram.Merge(sample.latency()).ok());
  EXPECT_EQ(histogram.count(), uint64_t{kRequests});
  EXPECT_GE(histogram.PercentileNs(1), (kDelayMs - 2) * 1e6);
  EXPECT_EQ(sample.not_measurable(), 0u);
}

TEST_P(HostEndTest, ATargetThatIsStartedAnewIsFollowed) {
  Start(Target());
  EXPECT_TRUE(IsSlow());
  network_->RestartServer();
  EXPECT_TRUE(IsFast());
  EXPECT_EQ(Look(Target()), "");
  EXPECT_TRUE(IsSlow());
}

TEST_P(HostEndTest, APartitionNeedsTheTargetsOwnAddresses) {
  const std::string groups = fmt::format("{},{}", Network::kClient4, Network::kServer4);
  EchoServer server(*network_, kPort);
  SetTarget(Target());
  Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
  ArmKind("NETWORK_PARTITION", {{"groups", groups}});
  EXPECT_FALSE(client.RoundTrip(std::chrono::milliseconds(300)));
  Disarm();
  EXPECT_TRUE(client.RoundTrip());
  auto target = ByItsHostEnd();
  SetTarget(target);
  EXPECT_THAT(ToString(TryArmKind("NETWORK_PARTITION", {{"groups", groups}}).message()),
              HasSubstr("a partition needs its 'addresses' or 'netns'"));
  target.add_addresses(Network::kServer4);
  SetTarget(target);
  ArmKind("NETWORK_PARTITION", {{"groups", groups}});
  EXPECT_FALSE(client.RoundTrip(std::chrono::milliseconds(300)));
}

TEST_P(HostEndTest, WhatHasNoHostEndHereIsRefused) {
  const auto refusal = [this](const std::vector<chaos::v1::Target>& targets) {
    const auto statuses = driver_->SetTargets(targets);
    return ToString(statuses.back().message());
  };
  auto loopback = Target();
  loopback.set_interface("lo");
  EXPECT_EQ(refusal({loopback}),
            fmt::format("interface 'lo' in netns '{}' is no veth device whose other end is in the "
                        "agent's own network namespace: attach: inside",
                        network_->server_netns()));
  auto own = loopback;
  own.clear_netns();
  EXPECT_EQ(refusal({own}),
            "interface 'lo' is no host's end of a target's link, which are veth and TAP devices "
            "without a default route: attach: inside");
  // The other end is elsewhere, as it is for an agent that is inside of a container itself.
  network_->InServer([&] {
    auto client = Target();
    client.set_netns(network_->server_netns());
    EXPECT_THAT(refusal({client}), HasSubstr("is no veth device whose other end is in"));
  });
  auto second = ByItsHostEnd();
  second.set_at_host_end(false);
  second.set_target_id("u");
  EXPECT_EQ(refusal({Target(), second}),
            "interface 'eth0' is the host's end of another target's link, or a target of its own: "
            "one interface cannot be both");
}

INSTANTIATE_TEST_SUITE_P(Modes, HostEndTest,
                         testing::Values(bpf::AttachMode::kTcx, bpf::AttachMode::kClsact),
                         [](const auto& mode) {
                           return mode.param == bpf::AttachMode::kTcx ? "Tcx" : "Clsact";
                         });

}  // namespace
}  // namespace faultline::netns_test
