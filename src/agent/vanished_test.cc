// Faults whose targets go under them (agent/reconciler.h).
#include "agent/reconciler_fixture.h"

namespace faultline::agent {
namespace {

using chaos::v1::TARGET_PHASE_REFUSED;

using VanishedTest = ReconcilerTest;

TEST_F(VanishedTest, WhatVanishedFromTheKernelIsArmedAgainAndBothAreTold) {
  Desire({"e1"});
  (void)reconciler_.TakeChanged();
  driver_.armed.clear();
  driver_.why_gone = "interface 'eth0' is another one now";
  reconciler_.CompareWithDrivers();
  EXPECT_TRUE(reconciler_.TakeChanged());
  EXPECT_EQ(Reported(), "PENDING: interface 'eth0' is another one now");
  Advance(1);
  EXPECT_TRUE(driver_.armed.contains(key_));
  EXPECT_EQ(Reported(), "ACTIVE");
}

TEST_F(VanishedTest, WhatVanishedWithoutAWordIsStillTold) {
  Desire({"e1"});
  driver_.armed.clear();
  reconciler_.CompareWithDrivers();
  EXPECT_EQ(Reported(), "PENDING: vanished from the kernel");
}

TEST_F(VanishedTest, WhatVanishedWaitsForItsPlaceAsLongAsItIsDesired) {
  Desire({"e1"}, 3'600);
  driver_.armed.clear();
  driver_.arm_status = MakeError(StatusCode::kNotFound, "no interface");
  reconciler_.CompareWithDrivers();
  for (int i = 0; i < 100; ++i) Advance(5 * kSecond);
  EXPECT_EQ(Reported(), "PENDING: no interface");
  driver_.arm_status = absl::OkStatus();
  Advance(Reconciler::kLongestPauseNs);
  EXPECT_EQ(Reported(), "ACTIVE");
}

TEST_F(VanishedTest, WhatWaitsIsTriedAtOnceWhenTargetsChange) {
  Desire({"e1"});
  driver_.armed.clear();
  driver_.arm_status = MakeError(StatusCode::kNotFound, "no interface");
  reconciler_.CompareWithDrivers();
  for (int i = 0; i < 5; ++i) Advance(kSecond);
  driver_.arm_status = absl::OkStatus();
  Advance(1);
  EXPECT_EQ(Reported(), "PENDING: no interface");
  reconciler_.TargetsChanged();
  Advance(1);
  EXPECT_EQ(Reported(), "ACTIVE");
}

TEST_F(VanishedTest, WhatWaitsForItsPlaceEndsAsItWouldHaveThere) {
  Desire({"e1"});
  driver_.armed.clear();
  driver_.arm_status = MakeError(StatusCode::kNotFound, "no interface");
  reconciler_.CompareWithDrivers();
  Advance(kSecond);
  Desire({});
  EXPECT_EQ(Reported(), "REVERTED: stopped");
}

// A lane that has gone comes back by itself, and what was armed on it with it.
TEST_F(VanishedTest, WhatHasVanishedForAMomentIsDisarmedBeforeItIsCalledReverted) {
  Desire({"e1"});
  const auto lane = driver_.armed;
  driver_.armed.clear();
  driver_.arm_status = MakeError(StatusCode::kUnavailable, "no lane");
  reconciler_.CompareWithDrivers();
  Advance(1);
  driver_.armed = lane;
  driver_.disarm_status = MakeError(StatusCode::kInternal, "busy");
  Desire({});
  EXPECT_EQ(Reported(), "PENDING: no lane");
  driver_.disarm_status = absl::OkStatus();
  Advance(1);
  EXPECT_EQ(Reported(), "REVERTED: stopped");
  EXPECT_TRUE(driver_.armed.empty());
}

TEST_F(VanishedTest, AReasonThatChangesAllTheTimeIsToldNowAndThen) {
  Desire({"e1"}, 3'600);
  driver_.armed.clear();
  reconciler_.CompareWithDrivers();
  int told = 0;
  for (int i = 0; i < 100; ++i) {
    driver_.arm_status = MakeError(StatusCode::kNotFound, "there is eth{}", i);
    Advance(kSecond);
    told += reconciler_.TakeChanged() ? 1 : 0;
  }
  EXPECT_GE(told, 5);
  EXPECT_LE(told, 12);
}

TEST_F(VanishedTest, WhatTheLastStartMayHaveArmedWaitsForItsPlaceAndWhatIsNewDoesNot) {
  driver_.arm_status = MakeError(StatusCode::kNotFound, "no interface");
  Desire({"e1"});
  for (int i = 0; i < 10; ++i) Advance(5 * kSecond);
  EXPECT_EQ(Reported(), "PENDING: no interface");
  Desire({"e0", "e1"});
  const auto reports = reconciler_.Reports(now_);
  EXPECT_EQ(reports.reports(0).experiment_id(), "e0");
  EXPECT_EQ(reports.reports(0).phase(), TARGET_PHASE_REFUSED);
  driver_.arm_status = absl::OkStatus();
  Advance(kSecond);
  EXPECT_EQ(Reported(), "ACTIVE");
}

}  // namespace
}  // namespace faultline::agent
