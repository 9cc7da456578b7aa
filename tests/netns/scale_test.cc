// As many targets and rules as an agent takes, with real packets.
#include "faults/network/datapath.h"
#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

constexpr unsigned kTargets = 512;
constexpr uint16_t kFirstPort = 20'000;

class ScaleTest : public DriverTest {
 protected:
  static faults::FaultKey KeyOf(unsigned rule) {
    return {"e", rule % FL_MAX_RULES_PER_TARGET,
            "t" + std::to_string(rule / FL_MAX_RULES_PER_TARGET)};
  }
  // Loses what comes to the rule's target from one port of its peer's.
  Status ArmOne(unsigned rule, uint32_t peer_port) {
    auto loss = Loss(100, ::network::v1::DIRECTION_INGRESS);
    loss.mutable_filter()->add_local_port(
        std::to_string(kFirstPort + rule / FL_MAX_RULES_PER_TARGET));
    loss.mutable_filter()->add_peer_port(std::to_string(peer_port));
    loss.mutable_filter()->add_peer_cidr("10.209.0.0/16");
    faults::ArmRequest request;
    request.key = KeyOf(rule);
    request.config.PackFrom(loss);
    request.deadline_boottime_ns = UINT64_MAX;
    return driver_->Arm(request);
  }
  bool Answers(unsigned target, uint16_t peer_port, std::chrono::milliseconds patience) {
    const auto port = static_cast<uint16_t>(kFirstPort + target);
    Client client(*network_, Protocol::kUdp, Network::kServer4, port, peer_port);
    return client.RoundTrip(patience).has_value();
  }
};

TEST_F(ScaleTest, EveryRuleAndTargetOfTheMostHasItsOwnPackets) {
  std::vector<chaos::v1::Target> targets;
  for (unsigned i = 0; i < kTargets; ++i) {
    targets.push_back(ServerTarget({kFirstPort + i}));
    targets.back().set_target_id("t" + std::to_string(i));
  }
  for (const Status& status : driver_->SetTargets(targets)) ASSERT_TRUE(status.ok()) << status;
  for (unsigned rule = 0; rule < FL_MAX_RULES; ++rule) {
    ASSERT_TRUE(ArmOne(rule, 40'000 + rule).ok()) << rule;
  }
  EXPECT_EQ(driver_->Armed().size(), size_t{FL_MAX_RULES});
  std::vector<chaos::v1::TargetSample> samples;
  driver_->ReadSamples(&samples);
  for (const unsigned target : {0u, 31u, 32u, 300u, 511u}) {
    const EchoServer server(*network_, static_cast<uint16_t>(kFirstPort + target));
    const unsigned rule = target * FL_MAX_RULES_PER_TARGET + 5;
    const auto own = static_cast<uint16_t>(40'000 + rule);
    EXPECT_FALSE(Answers(target, own, std::chrono::milliseconds(300))) << target;
    // The next target's rule, and no rule's.
    EXPECT_TRUE(Answers(target, static_cast<uint16_t>(own + 8), kPatience)) << target;
    EXPECT_TRUE(Answers(target, 39'000, kPatience)) << target;
    ASSERT_TRUE(driver_->Disarm(KeyOf(rule)).ok());
    EXPECT_TRUE(Answers(target, own, kPatience)) << target;
    samples.clear();
    driver_->ReadSamples(&samples);
    for (const auto& sample : samples) {
      const bool mine = sample.target_id() == "t" + std::to_string(target);
      EXPECT_EQ(sample.packets() > 0, mine) << sample.target_id();
    }
  }
}

TEST_F(ScaleTest, OneTargetMoreIsRefusedWithASentence) {
  std::vector<chaos::v1::Target> targets;
  for (unsigned i = 0; i <= kTargets; ++i) {
    targets.push_back(ServerTarget({kFirstPort + i}));
    targets.back().set_target_id("t" + std::to_string(i));
  }
  const auto statuses = driver_->SetTargets(targets);
  for (unsigned i = 0; i < kTargets; ++i) EXPECT_TRUE(statuses[i].ok()) << statuses[i];
  EXPECT_EQ(statuses[kTargets].message(), "this agent has more than 512 targets");
}

TEST_F(ScaleTest, ARuleThatChangesLeavesNoMomentWithoutOne) {
  constexpr int kChanges = 300;
  SetTarget(ServerTarget({kFirstPort}));
  Sink sink(*network_, kFirstPort);
  Client client(*network_, Protocol::kUdp, Network::kServer4, kFirstPort, 40'000);
  Arm(Loss(100, ::network::v1::DIRECTION_INGRESS));
  std::atomic<bool> ends{false};
  std::thread traffic([&] {
    while (!ends) client.Send("x");
  });
  for (int i = 0; i < kChanges; ++i) {
    auto loss = Loss(100, ::network::v1::DIRECTION_INGRESS);
    loss.mutable_filter()->add_local_port(std::to_string(kFirstPort));
    loss.mutable_filter()->add_peer_port("40000-" + std::to_string(40'001 + i));
    Arm(loss);
  }
  ends = true;
  traffic.join();
  AwaitQueues();
  EXPECT_EQ(sink.Take(1).size(), 0u);
  Disarm();
  client.Send("y");
  EXPECT_EQ(sink.Take(1, kPatience).size(), 1u);
}

}  // namespace
}  // namespace faultline::netns_test
