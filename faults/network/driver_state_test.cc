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

}  // namespace
}  // namespace faultline::network
