#include "control/begin_anew.h"

#include <gtest/gtest.h>

#include "control/reports.h"
#include "control/snapshot.h"
#include "control/test_support.h"

namespace faultline::control {
namespace {

using namespace chaos::v1;  // NOLINT: the enumerators of TargetPhase and ExperimentStatus
using testing::Driver;

constexpr char kReason[] = "restored";

struct Saved : Driver {
  std::string refused, active, pending, stopping;
  Saved() {
    Register("a", 1, {"w", "x", "y", "z"});
    refused = Create("service:w", "r1");
    Report("a", 1, refused, "a/w", TARGET_PHASE_REFUSED, "no");
    active = Create("service:x", "r2");
    Report("a", 1, active, "a/x", TARGET_PHASE_ACTIVE);
    pending = Create("service:y", "r3");
    stopping = Create("service:z", "r4");
    Report("a", 1, stopping, "a/z", TARGET_PHASE_ACTIVE);
    Stop({stopping});
  }
  size_t Anew() { return BeginAnew(&state, "another", kReason, {++index, now_ms}); }
};

TEST(BeginAnew, EndsWhatHadNotEndedAndLeavesTheRest) {
  Saved d;
  const std::string before = d.Get(d.refused).SerializeAsString();
  const std::string stopping = d.Get(d.stopping).SerializeAsString();
  EXPECT_EQ(d.Anew(), 2u);
  EXPECT_EQ(d.state.cluster_id, "another");
  EXPECT_EQ(d.Get(d.refused).SerializeAsString(), before);
  EXPECT_EQ(d.Get(d.stopping).SerializeAsString(), stopping) << "its end had begun before";
  for (const std::string& id : {d.active, d.pending}) {
    EXPECT_EQ(d.PhaseOf(id), TARGET_PHASE_REVERTING);
    EXPECT_EQ(d.Get(id).status(), EXPERIMENT_STATUS_RUNNING) << "not over before its agent says so";
    EXPECT_EQ(d.Get(id).phase(), "stopping");
    EXPECT_EQ(d.Get(id).reason(), kReason);
    EXPECT_EQ(d.Get(id).revision(), d.index);
  }
  EXPECT_TRUE(DesiredFor(d.state, "a", d.now_ms).faults().empty());
  EXPECT_FALSE(d.state.agents.at("a").connected());
  EXPECT_TRUE(d.state.by_end.empty());
  // What was derived is what a reader of the new cluster's snapshot derives.
  const auto read = FromSnapshot(ToSnapshot(d.state));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->unfinished, d.state.unfinished);
  EXPECT_EQ(read->by_revision, d.state.by_revision);
  EXPECT_EQ(read->unfinished_of_agent, d.state.unfinished_of_agent);
}

TEST(BeginAnew, ItIsOverWhenTheAgentAnswersANewWordOrIsGone) {
  Saved d;
  d.Anew();
  d.Register("a", 1, {"w", "x", "y", "z"});
  chaos::v1::FaultReports reports;
  reports.set_incarnation(1);
  reports.mutable_version()->set_cluster_id("the old one");
  reports.mutable_version()->set_revision(d.index + 100);
  EXPECT_TRUE(NewReports(d.state, "a", reports).empty()) << "it answers another cluster's word";
  reports.mutable_version()->set_cluster_id("another");
  EXPECT_EQ(NewReports(d.state, "a", reports).size(), 3u);
  d.Report("a", 1, d.active, "a/x", TARGET_PHASE_REVERTED);
  EXPECT_EQ(d.Get(d.active).status(), EXPERIMENT_STATUS_COMPLETED);
  EXPECT_EQ(d.Get(d.active).phase(), "stopped");
  d.Lose("a", 1);
  EXPECT_EQ(d.PhaseOf(d.pending), TARGET_PHASE_LOST);
  EXPECT_TRUE(d.state.unfinished.empty());
}

TEST(BeginAnew, OldRequestIdsStillNameTheirExperiments) {
  Saved d;
  d.Anew();
  d.Register("a", 1, {"w", "x", "y", "z"});
  EXPECT_EQ(d.Create("service:x", "r2"), d.active);
  const std::string next = d.Create("service:w", "r5");
  EXPECT_EQ(next, fmt::format("exp-{}", d.index)) << "ids go on where they were";
}

}  // namespace
}  // namespace faultline::control
