#include "agent/reconciler.h"

#include <gmock/gmock.h>

#include "agent/reconciler_fixture.h"

namespace faultline::agent {
namespace {

TEST_F(ReconcilerTest, ArmsWhatIsDesiredAtOnceAndReportsItActive) {
  Desire({"e1"});
  ASSERT_TRUE(driver_.armed.contains(key_));
  EXPECT_EQ(driver_.armed[key_].deadline_boottime_ns, now_ + 60 * kSecond);
  EXPECT_EQ(Reported(), "ACTIVE");
  EXPECT_EQ(reconciler_.Reports(now_).version().revision(), revision_);
}

TEST_F(ReconcilerTest, ARepeatedDesiredStateChangesNothing) {
  Desire({"e1"});
  Desire({"e1"});
  Advance(kSecond);
  EXPECT_EQ(driver_.arm_calls, 1);
}

TEST_F(ReconcilerTest, WhatIsMeasuredEndsBeforeFaultsAreArmedAndAfterTheyAreDisarmed) {
  using testing::ElementsAre;
  Desire({"e1", "e2"});
  EXPECT_THAT(edges_, ElementsAre(0u));
  Desire({"e1", "e2"});
  Advance(kSecond);
  EXPECT_THAT(edges_, ElementsAre(0u));
  Desire({"e1", "e2", "e3"});
  EXPECT_THAT(edges_, ElementsAre(0u, 2u));
  Desire({"e1"});
  EXPECT_THAT(edges_, ElementsAre(0u, 2u, 1u));
  Desire({"e4"});
  EXPECT_THAT(edges_, ElementsAre(0u, 2u, 1u, 0u)) << "e4 began as soon as e1 had ended";
}

TEST_F(ReconcilerTest, WhatIsNoLongerDesiredIsReverted) {
  Desire({"e1"});
  Desire({});
  EXPECT_TRUE(driver_.armed.empty());
  EXPECT_EQ(Reported(), "REVERTED: stopped");
  EXPECT_FALSE(reconciler_.Reports(now_).reports(0).halted());
}

TEST_F(ReconcilerTest, ADeadlineNeverMovesLater) {
  Desire({"e1"}, 10);
  now_ += 5 * kSecond;
  Desire({"e1"}, 60);
  Advance(5 * kSecond);
  EXPECT_TRUE(driver_.armed.empty());
  EXPECT_EQ(Reported(), "REVERTED: its time is up");
  Desire({"e1"}, 60);
  Advance(kSecond);
  EXPECT_TRUE(driver_.armed.empty()) << "time up is final";
}

TEST_F(ReconcilerTest, AnEarlierDeadlineIsTaken) {
  Desire({"e1"}, 60);
  Desire({"e1"}, 5);
  Advance(5 * kSecond);
  EXPECT_EQ(Reported(), "REVERTED: its time is up");
}

TEST_F(ReconcilerTest, ALostLeaseRevertsAndAHeldOneArmsForTheTimeLeft) {
  Desire({"e1"}, 60);
  now_ += 10 * kSecond;
  reconciler_.SetLeaseHeld(false, now_);
  EXPECT_TRUE(driver_.armed.empty());
  EXPECT_EQ(Reported(), "PENDING: lease ran out") << "not final";
  now_ += 10 * kSecond;
  reconciler_.SetLeaseHeld(true, now_);
  ASSERT_TRUE(driver_.armed.contains(key_));
  EXPECT_EQ(driver_.armed[key_].deadline_boottime_ns, 1'060 * kSecond);
  EXPECT_EQ(Reported(), "ACTIVE");
}

TEST_F(ReconcilerTest, WhatEndsWhileNoLeaseIsHeldIsReportedAsRevertedByTheLease) {
  Desire({"e1"}, 60);
  reconciler_.SetLeaseHeld(false, now_);
  Desire({});
  EXPECT_EQ(Reported(), "REVERTED: lease ran out");
  reconciler_.SetLeaseHeld(true, now_);
  Desire({"e1"}, 60);
  EXPECT_TRUE(driver_.armed.empty()) << "what was reported as reverted stays so";
}

TEST_F(ReconcilerTest, WithoutALeaseNothingIsArmedNorReported) {
  reconciler_.SetLeaseHeld(false, now_);
  Desire({"e1"});
  Advance(kSecond);
  EXPECT_EQ(driver_.arm_calls, 0);
  EXPECT_EQ(Reported(), "");
}

TEST_F(ReconcilerTest, WhatWasNeverArmedIsStillConfirmedWhenStopped) {
  reconciler_.SetLeaseHeld(false, now_);
  Desire({"e1"});
  Desire({});
  EXPECT_EQ(Reported(), "REVERTED: stopped before it was armed");
}

TEST_F(ReconcilerTest, HaltRevertsAndRefusesForGood) {
  Desire({"e1"});
  reconciler_.Halt(now_);
  EXPECT_TRUE(driver_.armed.empty());
  EXPECT_EQ(Reported(), "REVERTED: halted locally");
  EXPECT_TRUE(reconciler_.Reports(now_).reports(0).halted());
  Desire({"e1", "e2"});
  EXPECT_EQ(driver_.arm_calls, 1);
  reconciler_.Resume(now_);
  Desire({"e1", "e2", "e3"});
  ASSERT_EQ(driver_.armed.size(), 1u);
  EXPECT_EQ(driver_.armed.begin()->first.experiment_id, "e3");
}

TEST_F(ReconcilerTest, ALastingFailureIsRefusedWithItsReason) {
  driver_.arm_status = MakeError(StatusCode::kFailedPrecondition, "no such interface");
  Desire({"e1"});
  EXPECT_EQ(Reported(), "REFUSED: no such interface");
  driver_.arm_status = absl::OkStatus();
  Advance(10 * kSecond);
  EXPECT_EQ(driver_.arm_calls, 1);
}

TEST_F(ReconcilerTest, APassingFailureIsTriedAgain) {
  driver_.arm_status = MakeError(StatusCode::kUnavailable, "busy");
  Desire({"e1"});
  EXPECT_EQ(Reported(), "PENDING: busy");
  Advance(50'000'000);
  EXPECT_EQ(driver_.arm_calls, 1);
  driver_.arm_status = absl::OkStatus();
  Advance(50'000'000);
  EXPECT_EQ(Reported(), "ACTIVE");
}

TEST_F(ReconcilerTest, APassingFailureThatLastsIsRefused) {
  Desire({});
  driver_.arm_status = MakeError(StatusCode::kUnavailable, "busy");
  Desire({"e1"});
  for (int i = 0; i < 10; ++i) Advance(5 * kSecond);
  EXPECT_EQ(driver_.arm_calls, Reconciler::kAttempts);
  EXPECT_EQ(Reported(), "REFUSED: busy");
}

TEST_F(ReconcilerTest, WhatIsStillBeingPreparedHasNotFailedYet) {
  Desire({});
  driver_.arm_status =
      MakeDetailedError(StatusCode::kUnavailable, faults::kUnderWay, "being resolved");
  Desire({"e1"});
  for (int i = 0; i < 100; ++i) Advance(100'000'000);
  EXPECT_GT(driver_.arm_calls, 10 * Reconciler::kAttempts) << "soon after it is known";
  EXPECT_EQ(Reported(), "PENDING: being resolved");
  driver_.arm_status = MakeError(StatusCode::kDeadlineExceeded, "no answer");
  const int calls = driver_.arm_calls;
  for (int i = 0; i < 10; ++i) Advance(5 * kSecond);
  EXPECT_EQ(driver_.arm_calls, calls + Reconciler::kAttempts);
  EXPECT_EQ(Reported(), "REFUSED: no answer");
}

TEST_F(ReconcilerTest, AFaultThatCannotBeRevertedStaysActiveUntilItIs) {
  Desire({"e1"});
  driver_.disarm_status = MakeError(StatusCode::kInternal, "stuck");
  Desire({});
  EXPECT_EQ(Reported(), "ACTIVE: cannot be reverted: stuck");
  driver_.disarm_status = absl::OkStatus();
  Advance(1);
  EXPECT_EQ(Reported(), "REVERTED: stopped");
}

TEST_F(ReconcilerTest, AnUnknownKindIsRefused) {
  Desire({"e1"}, 60, "OTHER");
  EXPECT_EQ(Reported(), "REFUSED: this agent does not know the fault kind OTHER");
}

TEST_F(ReconcilerTest, WhatNobodyWantsIsDisarmed) {
  driver_.armed[{"stray", 0, "host/a"}] = {};
  reconciler_.CompareWithDrivers();
  EXPECT_TRUE(driver_.armed.empty());
}

TEST_F(ReconcilerTest, StopRevertsEverything) {
  Desire({"e1"});
  reconciler_.Stop(now_);
  EXPECT_EQ(Reported(), "REVERTED: the agent was stopped");
}

TEST_F(ReconcilerTest, ARevertIsReportedUntilASessionHasTakenIt) {
  Desire({"e1"});
  Desire({});
  Advance(20 * kSecond);
  EXPECT_EQ(Reported(), "REVERTED: stopped") << "never sent";
  reconciler_.OnSessionEnd();
  Advance(20 * kSecond);
  EXPECT_EQ(Reported(), "REVERTED: stopped") << "sent on a session that ended";
  Advance(Reconciler::kTakenAfterNs);
  EXPECT_EQ(Reported(), "");
}

TEST_F(ReconcilerTest, SaysOnceThatReportsChanged) {
  Desire({"e1"});
  EXPECT_TRUE(reconciler_.TakeChanged());
  EXPECT_FALSE(reconciler_.TakeChanged());
  Advance(kSecond);
  EXPECT_FALSE(reconciler_.TakeChanged());
  Desire({});
  EXPECT_TRUE(reconciler_.TakeChanged());
}

}  // namespace
}  // namespace faultline::agent
