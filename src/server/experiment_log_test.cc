#include "server/experiment_log.h"

#include <gtest/gtest.h>

#include "base/log_testing.h"
#include "control/test_support.h"

namespace faultline::server {
namespace {

using control::testing::Driver;

// An experiment on two targets of one agent, and its lines: "I experiment exp-2 is active
// experiment_id=exp-2 request_id=r1".
class ExperimentLogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    driver_.Register("a", 1, {"x", "y"});
    id_ = driver_.Create("agent:a", "r1");
    ASSERT_NE(id_, "") << driver_.error;
  }
  void Report(const std::string& target, chaos::v1::TargetPhase phase,
              const std::string& reason = "") {
    driver_.Report("a", 1, id_, target, phase, reason);
  }
  // What the log says of the experiment as it is now.
  std::vector<std::string> Lines(bool loud = true) {
    return LoggedLines([&] { log_.OnChange(driver_.Get(id_), loud); });
  }
  std::string About() const { return " experiment_id=" + id_ + " request_id=r1"; }
  using Texts = std::vector<std::string>;

  Driver driver_;
  ExperimentLog log_;
  std::string id_;
};

TEST_F(ExperimentLogTest, TellsOnceThatAnExperimentIsActiveAndHowItEnded) {
  EXPECT_EQ(Lines(), Texts());
  Report("a/x", chaos::v1::TARGET_PHASE_ACTIVE);
  EXPECT_EQ(Lines(), Texts({"I experiment " + id_ + " is active" + About()}));
  Report("a/y", chaos::v1::TARGET_PHASE_ACTIVE);
  EXPECT_EQ(Lines(), Texts());
  driver_.Register("a", 2, {"x", "y"});  // the agent was started anew, and arms again
  EXPECT_EQ(Lines(), Texts());
  driver_.Report("a", 2, id_, "a/x", chaos::v1::TARGET_PHASE_ACTIVE);
  EXPECT_EQ(Lines(), Texts());
  driver_.Stop({id_});
  EXPECT_EQ(Lines(), Texts()) << "told by the node that was asked";
  for (const char* target : {"a/x", "a/y"}) {
    driver_.Report("a", 2, id_, target, chaos::v1::TARGET_PHASE_REVERTED, "stopped");
  }
  EXPECT_EQ(Lines(), Texts({"I experiment " + id_ +
                            " has ended: completed (stopped): stopped by tester" + About()}));
}

TEST_F(ExperimentLogTest, TellsThatTimeIsUp) {
  Report("a/x", chaos::v1::TARGET_PHASE_ACTIVE);
  Lines();
  driver_.now_ms += 60'000;
  driver_.Expire();
  EXPECT_EQ(Lines(), Texts({"I experiment " + id_ + ": its time is up" + About()}));
}

TEST_F(ExperimentLogTest, TellsThatTimeIsUpAlsoWhenTheAgentsKnewIt) {
  driver_.RaiseVersion(10);
  for (const char* target : {"a/x", "a/y"}) Report(target, chaos::v1::TARGET_PHASE_ACTIVE);
  Lines();
  driver_.now_ms += 60'000;
  for (const char* target : {"a/x", "a/y"}) Report(target, chaos::v1::TARGET_PHASE_REVERTED);
  EXPECT_EQ(Lines(), Texts({"I experiment " + id_ + ": its time is up" + About(),
                            "I experiment " + id_ +
                                " has ended: completed (expired): its time is up" + About()}));
}

TEST_F(ExperimentLogTest, WarnsOfTargetsThatRefuseOrAreLostAndOfAFailure) {
  Report("a/x", chaos::v1::TARGET_PHASE_REFUSED, "there is\nno room");
  EXPECT_EQ(Lines(), Texts({"W experiment " + id_ +
                            ": 1 of 2 faults on targets refused: there is\\x0ano room" + About() +
                            " target_id=a/x"}));
  driver_.Lose("a", 1);
  const auto lines = Lines();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].find("W experiment " + id_ + ": 1 of 2 faults on targets lost: the agent is"),
            0u)
      << lines[0];
  EXPECT_EQ(lines[1].find("W experiment " + id_ + " has ended: failed (lost): "), 0u) << lines[1];
}

TEST_F(ExperimentLogTest, WhoDoesNotLeadTellsItAtDebug) {
  Report("a/x", chaos::v1::TARGET_PHASE_ACTIVE);
  EXPECT_EQ(Lines(/*loud=*/false), Texts({"D experiment " + id_ + " is active" + About()}));
  driver_.Lose("a", 1);
  for (const std::string& line : Lines(/*loud=*/false)) EXPECT_EQ(line[0], 'D') << line;
}

TEST_F(ExperimentLogTest, WhatASnapshotBringsIsNoNews) {
  Report("a/x", chaos::v1::TARGET_PHASE_ACTIVE);
  log_.Restart(driver_.state);
  EXPECT_EQ(Lines(), Texts());
}

}  // namespace
}  // namespace faultline::server
