#include "faults/network/driver_state.h"

#include <gtest/gtest.h>

namespace faultline::network {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

faults::FaultKey Key(const std::string& experiment, const std::string& target = "t") {
  return {experiment, 0, target};
}

class HoldsTest : public testing::Test {
 protected:
  void Add(const faults::FaultKey& key, const HoldTimes& holds_ns) {
    rules_[key].holds_ns = holds_ns;
  }
  std::string Refusal(const faults::FaultKey& key, const HoldTimes& holds_ns) const {
    const Status status = CheckHolds(rules_, key, holds_ns);
    EXPECT_TRUE(status.ok() || status.code() == StatusCode::kFailedPrecondition);
    return ToString(status.message());
  }

  RuleStates rules_;
};

TEST_F(HoldsTest, DelaysAddUpToWhatOneMayBe) {
  Add(Key("a"), {20 * kSecond, 0});
  Add(Key("b"), {30 * kSecond, 0});
  EXPECT_EQ(Refusal(Key("c"), {10 * kSecond, 0}), "");
  EXPECT_EQ(Refusal(Key("c"), {10 * kSecond + 500'000, 0}),
            "target t: the faults of a, b hold egress packets back by 50000 ms, and c would by "
            "10000.5 ms more: 60000.5 ms altogether, of at most 60000 ms");
}

TEST_F(HoldsTest, WhatHoldsNothingIsInNobodysWay) {
  Add(Key("a"), {60 * kSecond, 60 * kSecond});
  Add(Key("loss"), {});
  EXPECT_EQ(Refusal(Key("other loss"), {}), "");
  EXPECT_NE(Refusal(Key("b"), {1, 0}).find("of a hold"), std::string::npos);
}

TEST_F(HoldsTest, EachDirectionCountsByItself) {
  Add(Key("a"), {60 * kSecond, 0});
  EXPECT_EQ(Refusal(Key("b"), {0, 60 * kSecond}), "");
  Add(Key("b"), {0, 60 * kSecond});
  EXPECT_NE(Refusal(Key("c"), {0, kSecond}).find("of b hold ingress packets"), std::string::npos);
}

TEST_F(HoldsTest, OtherTargetsAndTheRuleWhosePlaceItTakesDoNotCount) {
  Add(Key("a", "s"), {60 * kSecond, 0});
  Add(Key("a"), {40 * kSecond, 0});
  Add(Key("b", "u"), {60 * kSecond, 0});
  EXPECT_EQ(Refusal(Key("a"), {60 * kSecond, 0}), "");
  EXPECT_NE(Refusal(Key("b"), {21 * kSecond, 0}), "");
}

constexpr char kOneWay[] = "a cgroup target is measured by its ports: give it ports";

TEST(OneWay, ATargetWithTrafficSaysWhyItHasNoTimesWhateverTheProgramsMadeOfIt) {
  chaos::v1::TargetSample asks, answers;
  asks.set_packets(4);
  asks.set_not_measurable(3);
  asks.set_not_measurable_reason("requests overlap on a connection");
  answers.set_packets(4);
  for (auto* sample : {&asks, &answers}) TellOneWay(sample);
  EXPECT_EQ(asks.not_measurable(), 3u);
  EXPECT_EQ(answers.not_measurable(), 1u);
  for (const auto& sample : {asks, answers}) EXPECT_EQ(sample.not_measurable_reason(), kOneWay);
}

TEST(OneWay, WithoutTrafficThereIsNothingToSay) {
  chaos::v1::TargetSample sample;
  TellOneWay(&sample);
  EXPECT_EQ(sample.ByteSizeLong(), 0u);
}

TEST(OneWay, HandshakesOfWhichOneHalfIsSeenAreLeftOutAndNothingElseIs) {
  chaos::v1::TargetSample sample;
  sample.mutable_traffic()->set_unpaired_handshakes(2);
  sample.mutable_traffic()->set_retransmits(1);
  TellOneWay(&sample);
  EXPECT_EQ(sample.traffic().unpaired_handshakes(), 0u);
  EXPECT_EQ(sample.traffic().retransmits(), 1u);
  sample.mutable_traffic()->clear_retransmits();
  sample.mutable_traffic()->set_unpaired_handshakes(2);
  TellOneWay(&sample);
  EXPECT_FALSE(sample.has_traffic());
}

TEST(OneWay, ItIsCgroupTargetsWithoutPorts) {
  chaos::v1::Target target;
  EXPECT_FALSE(faults::IsMeasuredOneWay(target));
  target.set_cgroup("/shop");
  EXPECT_TRUE(faults::IsMeasuredOneWay(target));
  target.add_ports(80);
  EXPECT_FALSE(faults::IsMeasuredOneWay(target));
}

}  // namespace
}  // namespace faultline::network
