#include "client/retry.h"

#include <gtest/gtest.h>

#include "base/clock.h"

namespace faultline::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr AttemptFailure kGone{.retriable = true, .reached = false};
constexpr AttemptFailure kNoLeader{.retriable = true, .reached = true};
constexpr AttemptFailure kFinal{.retriable = false, .reached = true};

TEST(RetryPlan, TriesEveryNodeOnceWithoutAPause) {
  RetryPlan plan(3, 1, 10 * kNanosPerSecond, 7);
  EXPECT_EQ(plan.node(), 1u);
  EXPECT_EQ(plan.After(kGone, 0), nanoseconds(0));
  EXPECT_EQ(plan.node(), 2u);
  EXPECT_EQ(plan.After(kGone, 0), nanoseconds(0));
  EXPECT_EQ(plan.node(), 0u);
  EXPECT_GE(plan.After(kGone, 0).value(), milliseconds(20));
  EXPECT_EQ(plan.node(), 1u);
}

TEST(RetryPlan, PausesDoubleUpToHalfASecondAndItsJitter) {
  RetryPlan plan(1, 0, 1000 * kNanosPerSecond, 7);
  nanoseconds expected = milliseconds(20);
  for (int i = 0; i < 12; ++i) {
    const nanoseconds pause = plan.After(kNoLeader, 0).value();
    EXPECT_GE(pause, expected);
    EXPECT_LE(pause, expected * 5 / 4);
    expected = std::min<nanoseconds>(expected * 2, milliseconds(500));
  }
}

TEST(RetryPlan, AnAnswerThatIsNoRetryMatterIsFinal) {
  RetryPlan plan(3, 0, 10 * kNanosPerSecond, 7);
  EXPECT_FALSE(plan.After(kFinal, 0).has_value());
}

TEST(RetryPlan, GivesUpSoonWhenNoNodeIsReachable) {
  RetryPlan plan(1, 0, 10 * kNanosPerSecond, 7);
  EXPECT_TRUE(plan.After(kGone, 0).has_value());
  EXPECT_TRUE(plan.After(kGone, 1000 * kNanosPerMilli).has_value());
  EXPECT_FALSE(plan.After(kGone, 1500 * kNanosPerMilli).has_value());
}

TEST(RetryPlan, WaitsForALeaderUntilTheDeadline) {
  RetryPlan plan(1, 0, 10 * kNanosPerSecond, 7);
  EXPECT_TRUE(plan.After(kNoLeader, 0).has_value());
  EXPECT_TRUE(plan.After(kGone, 8 * kNanosPerSecond).has_value());
  EXPECT_FALSE(plan.After(kNoLeader, 10 * kNanosPerSecond).has_value());
}

TEST(RetryPlan, ASuccessBeginsANewWalk) {
  RetryPlan plan(2, 0, 10 * kNanosPerSecond, 7);
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(plan.After(kNoLeader, 0).has_value());
  EXPECT_FALSE(plan.fresh());
  plan.Succeeded();
  EXPECT_TRUE(plan.fresh());
  EXPECT_EQ(plan.After(kGone, 0), nanoseconds(0));
  EXPECT_LE(plan.After(kGone, 0).value(), milliseconds(25));
}

}  // namespace
}  // namespace faultline::client
