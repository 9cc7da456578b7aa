#include "agent/reconciler.h"

#include <gtest/gtest.h>

namespace faultline::agent {
namespace {

using chaos::v1::TARGET_PHASE_ACTIVE;
using chaos::v1::TARGET_PHASE_REFUSED;
using chaos::v1::TARGET_PHASE_REVERTED;

constexpr uint64_t kSecond = 1'000'000'000;

// Remembers what is armed, and fails when told to.
class FakeDriver : public faults::Driver {
 public:
  std::vector<chaos::v1::Capability> Probe() override { return {}; }
  std::vector<Status> SetTargets(const std::vector<chaos::v1::Target>& targets) override {
    return std::vector<Status>(targets.size());
  }
  Status Arm(const faults::ArmRequest& request) override {
    ++arm_calls;
    if (!arm_status.ok()) return arm_status;
    armed[request.key] = request;
    return absl::OkStatus();
  }
  Status Disarm(const faults::FaultKey& key) override {
    if (!disarm_status.ok()) return disarm_status;
    armed.erase(key);
    return absl::OkStatus();
  }
  std::vector<faults::FaultKey> Armed() override {
    std::vector<faults::FaultKey> keys;
    for (const auto& [key, request] : armed) keys.push_back(key);
    return keys;
  }
  void ReadSamples(std::vector<chaos::v1::TargetSample>*) override {}

  std::map<faults::FaultKey, faults::ArmRequest> armed;
  Status arm_status, disarm_status;
  int arm_calls = 0;
};

class ReconcilerTest : public testing::Test {
 protected:
  ReconcilerTest() { reconciler_.SetLeaseHeld(true, now_); }
  const faults::FaultKey key_{"e1", 0, "host/a"};

  void Desire(std::vector<std::string> experiments, int64_t remaining_s = 60,
              const std::string& kind = "KNOWN") {
    chaos::v1::DesiredState desired;
    desired.mutable_version()->set_revision(++revision_);
    for (const std::string& experiment : experiments) {
      auto* fault = desired.add_faults();
      fault->set_experiment_id(experiment);
      fault->set_target_id("host/a");
      fault->set_kind(kind);
      fault->mutable_remaining()->set_seconds(remaining_s);
    }
    reconciler_.SetDesired(desired, now_);
  }
  // "ACTIVE", "REVERTED: reason" of experiment e1, or "" when it is not reported.
  std::string Reported() {
    const auto reports = reconciler_.Reports(now_);
    for (const auto& report : reports.reports()) {
      if (report.experiment_id() != "e1") continue;
      std::string text = chaos::v1::TargetPhase_Name(report.phase()).substr(13);
      if (!report.reason().empty()) text += ": " + report.reason();
      return text;
    }
    return "";
  }
  void Advance(uint64_t ns) {
    now_ += ns;
    reconciler_.Tick(now_);
  }

  FakeDriver driver_;
  uint64_t now_ = 1'000 * kSecond;
  uint64_t revision_ = 0;
  Reconciler reconciler_{
      [this](const std::string& kind) { return kind == "KNOWN" ? &driver_ : nullptr; }, {&driver_}};
};

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
  EXPECT_EQ(Reported(), "") << "not final, so not reported";
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
  EXPECT_EQ(Reported(), "");
  Advance(50'000'000);
  EXPECT_EQ(driver_.arm_calls, 1);
  driver_.arm_status = absl::OkStatus();
  Advance(50'000'000);
  EXPECT_EQ(Reported(), "ACTIVE");
}

TEST_F(ReconcilerTest, APassingFailureThatLastsIsRefused) {
  driver_.arm_status = MakeError(StatusCode::kUnavailable, "busy");
  Desire({"e1"});
  for (int i = 0; i < 10; ++i) Advance(5 * kSecond);
  EXPECT_EQ(driver_.arm_calls, Reconciler::kAttempts);
  EXPECT_EQ(Reported(), "REFUSED: busy");
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

TEST_F(ReconcilerTest, WhatVanishedFromTheKernelIsArmedAgain) {
  Desire({"e1"});
  driver_.armed.clear();
  reconciler_.CompareWithDrivers(now_);
  EXPECT_TRUE(driver_.armed.contains(key_));
  EXPECT_EQ(Reported(), "ACTIVE");
}

TEST_F(ReconcilerTest, WhatVanishedIsArmedAgainWhenItsPlaceIsBackInTime) {
  Desire({"e1"});
  driver_.armed.clear();
  driver_.arm_status = MakeError(StatusCode::kNotFound, "no interface");
  EXPECT_FALSE(reconciler_.CompareWithDrivers(now_));
  Advance(kSecond);
  driver_.arm_status = absl::OkStatus();
  Advance(kSecond);
  EXPECT_EQ(Reported(), "ACTIVE");
  EXPECT_TRUE(reconciler_.CompareWithDrivers(now_));
}

TEST_F(ReconcilerTest, WhatVanishedForGoodIsReverted) {
  Desire({"e1"});
  driver_.armed.clear();
  driver_.arm_status = MakeError(StatusCode::kNotFound, "no interface");
  reconciler_.CompareWithDrivers(now_);
  for (int i = 0; i < 10; ++i) Advance(5 * kSecond);
  EXPECT_EQ(Reported(), "REVERTED: no interface");
}

TEST_F(ReconcilerTest, WhatNobodyWantsIsDisarmed) {
  driver_.armed[{"stray", 0, "host/a"}] = {};
  reconciler_.CompareWithDrivers(now_);
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
