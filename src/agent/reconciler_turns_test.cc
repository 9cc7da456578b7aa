// Faults of which there are more than one call of the reconciler has time for.
#include <gmock/gmock.h>

#include "agent/reconciler_fixture.h"

namespace faultline::agent {
namespace {

using testing::ElementsAre;
using Strings = std::vector<std::string>;

class TurnsTest : public ReconcilerTest {
 protected:
  // An agent that has been told before: what it cannot arm is not tried without end.
  TurnsTest() { Desire({}); }
  std::map<std::string, std::string> ReasonsOfReverted() {
    std::map<std::string, std::string> reasons;
    const auto reports = reconciler_.Reports(now_);
    for (const auto& report : reports.reports()) {
      if (report.phase() != chaos::v1::TARGET_PHASE_REVERTED) continue;
      reasons[report.experiment_id()] = report.reason();
    }
    return reasons;
  }
};

TEST_F(TurnsTest, EachFaultThatIsArmedOrRevertedOrCannotBeIsAStep) {
  Desire({"e1", "e2", "e3"});
  EXPECT_THAT(steps_, ElementsAre(1u, 2u, 3u));
  Desire({"e3"});
  EXPECT_THAT(steps_, ElementsAre(1u, 2u, 3u, 4u, 5u));
  steps_.clear();
  driver_.arm_status = MakeError(StatusCode::kUnavailable, "busy");
  driver_.disarm_status = MakeError(StatusCode::kInternal, "stuck");
  Desire({"e4", "e5"});
  EXPECT_THAT(steps_, ElementsAre(6u, 7u, 8u));
  Advance(1);
  EXPECT_THAT(steps_, ElementsAre(6u, 7u, 8u, 9u)) << "e3 cannot be reverted, the others wait";
}

TEST_F(TurnsTest, WhatThereIsNoTimeForIsArmedByTheNextTicks) {
  has_time_ = false;
  Desire({"e1", "e2", "e3"});
  EXPECT_EQ(driver_.calls, Strings({"arm e1"}));
  EXPECT_TRUE(reconciler_.unfinished());
  Advance(1);
  EXPECT_EQ(driver_.calls, Strings({"arm e1", "arm e2"}));
  EXPECT_TRUE(reconciler_.unfinished());
  Advance(1);
  EXPECT_EQ(driver_.calls, Strings({"arm e1", "arm e2", "arm e3"}));
  EXPECT_FALSE(reconciler_.unfinished());
  EXPECT_EQ(driver_.armed.at({"e3", 0, "host/a"}).deadline_boottime_ns, 1'060 * kSecond);
  EXPECT_THAT(edges_, ElementsAre(0u, 1u, 2u)) << "what is measured ends before each";
  Advance(1);
  EXPECT_EQ(driver_.arm_calls, 3);
}

TEST_F(TurnsTest, ADesiredStateThatComesMidwayIsActedUponBeforeTheRestIsArmed) {
  has_time_ = false;
  Desire({"e1", "e2", "e3", "e4", "e5"});
  Advance(1);
  Desire({"e2", "e3", "e4"});
  EXPECT_EQ(driver_.calls, Strings({"arm e1", "arm e2", "disarm e1", "arm e3"}));
  using Reasons = std::map<std::string, std::string>;
  EXPECT_EQ(ReasonsOfReverted(),
            Reasons({{"e1", "stopped"}, {"e5", "stopped before it was armed"}}));
  Advance(1);
  EXPECT_EQ(driver_.calls.back(), "arm e4");
  EXPECT_FALSE(reconciler_.unfinished());
}

TEST_F(TurnsTest, WhoseTimeIsUpBeforeItsTurnIsNotArmed) {
  has_time_ = false;
  Desire({"e0", "e1"}, 10);
  Advance(10 * kSecond);
  EXPECT_EQ(driver_.calls, Strings({"arm e0", "disarm e0"}));
  EXPECT_EQ(Reported(), "REFUSED: its time is up");
  EXPECT_FALSE(reconciler_.unfinished());
}

TEST_F(TurnsTest, RevertingIsNeverPutOff) {
  Desire({"e1", "e2", "e3"});
  has_time_ = false;
  reconciler_.SetLeaseHeld(false, now_);
  EXPECT_TRUE(driver_.armed.empty());
  EXPECT_FALSE(reconciler_.unfinished());
  reconciler_.SetLeaseHeld(true, now_);
  EXPECT_EQ(driver_.armed.size(), 1u);
  EXPECT_TRUE(reconciler_.unfinished());
  reconciler_.Halt(now_);
  EXPECT_TRUE(driver_.armed.empty());
  EXPECT_FALSE(reconciler_.unfinished());
}

TEST_F(TurnsTest, WhatFailsAgainAndAgainKeepsNoOtherWaiting) {
  has_time_ = false;
  driver_.arm_status = MakeError(StatusCode::kUnavailable, "busy");
  Desire({"e1", "e2", "e3"});
  for (int i = 0; i < 3; ++i) Advance(kSecond);
  EXPECT_EQ(driver_.calls, Strings({"arm e1", "arm e2", "arm e3", "arm e1"}));
}

// Also while targets come one by one, and each is a reason to try at once.
TEST_F(TurnsTest, WhatIsTriedAtOnceSinceTargetsCameKeepsItsOrder) {
  Desire({"e1", "e2", "e3"});
  driver_.calls.clear();
  edges_.clear();
  driver_.armed.clear();
  driver_.arm_status = MakeError(StatusCode::kUnavailable, "not there");
  reconciler_.CompareWithDrivers();
  has_time_ = false;
  for (int i = 0; i < 4; ++i) {
    reconciler_.TargetsChanged();
    Advance(1);
  }
  EXPECT_EQ(driver_.calls, Strings({"arm e1", "arm e2", "arm e3", "arm e1"}));
  EXPECT_EQ(edges_.size(), 3u) << "before the first attempt of each";
}

}  // namespace
}  // namespace faultline::agent
