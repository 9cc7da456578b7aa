// Targets that are cgroups.
#include "netns/cgroup.h"

#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

using namespace std::chrono_literals;
namespace pb = ::network::v1;
using testing::HasSubstr;

constexpr uint16_t kInsidePort = 7001;
constexpr uint16_t kOutsidePort = 7002;
// How long an answer that should not come is waited for. One that should come has kPatience.
constexpr auto kLost = 150ms;

class CgroupTest : public DriverTest {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    if (!network_) return;
    if (!cgroup_.why().empty()) GTEST_SKIP() << cgroup_.why();
    outside_ = std::make_unique<EchoServer>(*network_, kOutsidePort);
    cgroup_.EnterInner();
    inside_ = std::make_unique<EchoServer>(*network_, kInsidePort);
    cgroup_.Leave();
  }
  void TearDown() override {
    inside_.reset();
    outside_.reset();
    DriverTest::TearDown();
  }
  bool Answers(uint16_t port, std::chrono::milliseconds patience = kPatience) {
    Client client(*network_, Protocol::kUdp, Network::kServer4, port);
    return client.RoundTrip(patience).has_value();
  }

  const OwnCgroup cgroup_;
  std::unique_ptr<EchoServer> inside_, outside_;
};

TEST_F(CgroupTest, OnlyWhatTheCgroupAndThoseBelowItSendIsTouched) {
  chaos::v1::Target target = ServerTarget();
  target.set_cgroup(cgroup_.name());
  SetTarget(target);
  Arm(Loss(100));
  EXPECT_FALSE(Answers(kInsidePort, kLost));
  EXPECT_TRUE(Answers(kOutsidePort));
  Disarm();
  EXPECT_TRUE(Answers(kInsidePort));
}

TEST_F(CgroupTest, OnlyWhatIsForTheCgroupAndThoseBelowItIsTouchedOnItsWayIn) {
  chaos::v1::Target target = ServerTarget();
  target.set_cgroup(cgroup_.name());
  SetTarget(target);
  for (const auto& [protocol, name] :
       {std::pair(Protocol::kTcp, pb::PROTOCOL_TCP), std::pair(Protocol::kUdp, pb::PROTOCOL_UDP)}) {
    auto loss = Loss(100, pb::DIRECTION_INGRESS);
    loss.mutable_filter()->set_protocol(name);
    for (const char* address : {Network::kServer4, Network::kServer6}) {
      // Connections that are there already, and their cgroup's namesakes outside.
      Client in(*network_, protocol, address, kInsidePort);
      Client out(*network_, protocol, address, kOutsidePort);
      ASSERT_TRUE(in.RoundTrip());
      Arm(loss);
      EXPECT_FALSE(in.RoundTrip(kLost));
      EXPECT_TRUE(out.RoundTrip());
      const auto counters = SettledCounters();
      EXPECT_EQ(counters.matched(), counters.dropped());
      EXPECT_GT(counters.dropped(), 0u);
      Disarm();
      Client again(*network_, protocol, address, kInsidePort);
      EXPECT_TRUE(again.RoundTrip());
    }
  }
}

TEST_F(CgroupTest, ADelayOnTheWayInIsOfTheReceiverAndNotOfTheSender) {
  // The client sends from the cgroup; on a veth of one host its packets come in as its own.
  cgroup_.EnterInner();
  Client inside(*network_, Protocol::kTcp, Network::kServer4, kOutsidePort);
  cgroup_.Leave();
  Client outside(*network_, Protocol::kTcp, Network::kServer4, kInsidePort);
  chaos::v1::Target target = ServerTarget();
  target.set_cgroup(cgroup_.name());
  SetTarget(target);
  auto latency = Latency(300, pb::DIRECTION_INGRESS);
  latency.mutable_filter()->set_protocol(pb::PROTOCOL_TCP);
  Arm(latency);
  EXPECT_TRUE(inside.AnswersBefore(300));
  const auto delayed = outside.RoundTrip();
  ASSERT_TRUE(delayed);
  EXPECT_GE(delayed->count(), 300);
}

constexpr char kGivePorts[] = "a cgroup target is measured by its ports: give it ports";

// Its answers come in, which belongs to no cgroup: request on request goes out without any.
TEST_F(CgroupTest, WithoutPortsAClientsTargetSaysThatItNeedsThem) {
  chaos::v1::Target target = ClientTarget();
  target.set_cgroup(cgroup_.name());
  SetTarget(target);
  cgroup_.EnterInner();
  Client client(*network_, Protocol::kTcp, Network::kServer4, kOutsidePort);
  cgroup_.Leave();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(client.RoundTrip().has_value());
  const auto sample = Sample();
  EXPECT_GE(sample.packets(), 3u);
  EXPECT_TRUE(sample.latency().index().empty());
  EXPECT_GE(sample.not_measurable(), 1u);
  EXPECT_EQ(sample.not_measurable_reason(), kGivePorts);
}

// Its connections begin with what comes in.
TEST_F(CgroupTest, WithoutPortsAServersTargetSaysSoTooAndNoConnectionCountsAsForgotten) {
  chaos::v1::Target target = ServerTarget();
  target.set_cgroup(cgroup_.name());
  SetTarget(target);
  Client client(*network_, Protocol::kTcp, Network::kServer4, kInsidePort);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(client.RoundTrip().has_value());
  const auto sample = Sample();
  EXPECT_GE(sample.packets(), 3u);
  EXPECT_GE(sample.not_measurable(), 1u);
  EXPECT_EQ(sample.not_measurable_reason(), kGivePorts);
  EXPECT_EQ(sample.traffic().unpaired_handshakes(), 0u);
  EXPECT_FALSE(driver_->Load().met_midway.has_value());
}

TEST_F(CgroupTest, WithPortsATargetIsMeasured) {
  chaos::v1::Target target = ServerTarget({kInsidePort});
  target.set_cgroup(cgroup_.name());
  SetTarget(target);
  Client client(*network_, Protocol::kTcp, Network::kServer4, kInsidePort);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(client.RoundTrip().has_value());
  const auto sample = Sample();
  EXPECT_FALSE(sample.latency().index().empty());
  EXPECT_EQ(sample.not_measurable(), 0u);
  EXPECT_EQ(driver_->Load().met_midway, 0u);
}

TEST_F(CgroupTest, WhatBelongsToNoSocketOnItsWayInIsRefusedWithASentence) {
  chaos::v1::Target target = ServerTarget();
  target.set_cgroup(cgroup_.name());
  SetTarget(target);
  auto loss = Loss(100, pb::DIRECTION_BOTH);
  loss.mutable_filter()->set_protocol(pb::PROTOCOL_ICMP);
  const Status status = TryArm(loss);
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(ToString(status.message()), HasSubstr("belongs to no socket"));
  EXPECT_TRUE(driver_->Armed().empty());
}

TEST_F(CgroupTest, ACgroupThatIsNotThereIsToldByName) {
  chaos::v1::Target target = ServerTarget();
  target.set_cgroup("fl-no-such-cgroup");
  const Status status = driver_->SetTargets({target})[0];
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_EQ(ToString(status.message()),
            "cgroup 'fl-no-such-cgroup': there is none (v2) of that path below the root");
}

}  // namespace
}  // namespace faultline::netns_test
