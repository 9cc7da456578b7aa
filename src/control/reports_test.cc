#include "control/reports.h"

#include <gtest/gtest.h>

#include "control/test_support.h"

namespace faultline::control {
namespace {

using namespace chaos::v1;  // NOLINT: the enumerators of TargetPhase
using testing::Driver;

class Reports : public ::testing::Test {
 protected:
  void SetUp() override {
    v1::Command command;
    command.mutable_init_cluster()->set_cluster_id("c");
    d.Apply(command);
    d.Register("a", 1, {"x"});
    id = d.Create("service:x");
  }
  chaos::v1::FaultReports Set(uint64_t revision) {
    chaos::v1::FaultReports reports;
    reports.mutable_version()->set_cluster_id("c");
    reports.mutable_version()->set_revision(revision);
    return reports;
  }
  chaos::v1::FaultReports Set(uint64_t revision, TargetPhase phase,
                              const std::string& reason = "") {
    auto reports = Set(revision);
    auto* report = reports.add_reports();
    report->set_experiment_id(id);
    report->set_target_id("a/x");
    report->set_phase(phase);
    report->set_reason(reason);
    return reports;
  }
  Driver d;
  std::string id;
};

TEST_F(Reports, ThatSayWhatIsKnownAreNoNews) {
  EXPECT_EQ(NewReports(d.state, "a", Set(d.index, TARGET_PHASE_ACTIVE)).size(), 1u);
  d.Report("a", 1, id, "a/x", TARGET_PHASE_ACTIVE);
  EXPECT_TRUE(NewReports(d.state, "a", Set(d.index, TARGET_PHASE_ACTIVE)).empty());
  EXPECT_TRUE(NewReports(d.state, "b", Set(d.index, TARGET_PHASE_REVERTED)).empty());
}

TEST_F(Reports, ThatLeaveOutAPairMeanItIsRevertedOnlyWhenTheyKnowOfItsEnd) {
  EXPECT_TRUE(NewReports(d.state, "a", Set(d.index)).empty()) << "it is still desired";
  const uint64_t before = d.index;
  d.Stop({id});
  EXPECT_TRUE(NewReports(d.state, "a", Set(before)).empty());
  const auto news = NewReports(d.state, "a", Set(d.index));
  ASSERT_EQ(news.size(), 1u);
  EXPECT_EQ(news[0].phase(), TARGET_PHASE_REVERTED);
  auto foreign = Set(d.index);
  foreign.mutable_version()->set_cluster_id("other");
  EXPECT_TRUE(NewReports(d.state, "a", foreign).empty());
}

TEST_F(Reports, OfAPairThatEndedAreNoNews) {
  d.Report("a", 1, id, "a/x", TARGET_PHASE_REFUSED);
  EXPECT_TRUE(NewReports(d.state, "a", Set(d.index, TARGET_PHASE_ACTIVE)).empty());
}

TEST_F(Reports, ThatAnActiveFaultWaitsForItsTargetAreNewsWithEachReason) {
  const auto& pair = [&]() -> const FaultTarget& {
    return d.state.Find(id)->experiment().targets(0);
  };
  d.RaiseVersion(7);
  d.Report("a", 1, id, "a/x", TARGET_PHASE_ACTIVE);
  for (const char* reason : {"interface 'eth0' has gone", "cgroup '/x' has gone"}) {
    const auto set = Set(d.index, TARGET_PHASE_PENDING, reason);
    EXPECT_EQ(NewReports(d.state, "a", set).size(), 1u);
    d.Report("a", 1, id, "a/x", TARGET_PHASE_PENDING, reason);
    EXPECT_EQ(pair().phase(), TARGET_PHASE_PENDING);
    EXPECT_EQ(pair().reason(), reason);
    EXPECT_EQ(d.state.Find(id)->experiment().status(), EXPERIMENT_STATUS_RUNNING);
    EXPECT_TRUE(NewReports(d.state, "a", set).empty());
    EXPECT_EQ(DesiredFor(d.state, "a", d.now_ms).faults_size(), 1) << "it is still wanted";
  }
  d.Report("a", 1, id, "a/x", TARGET_PHASE_ACTIVE);
  EXPECT_EQ(pair().phase(), TARGET_PHASE_ACTIVE);
  EXPECT_EQ(pair().reason(), "");
}

TEST_F(Reports, ThatAFaultWaitsAreNoNewsOnceItsEndWasAskedFor) {
  d.RaiseVersion(7);
  d.Report("a", 1, id, "a/x", TARGET_PHASE_ACTIVE);
  d.Stop({id});
  EXPECT_TRUE(NewReports(d.state, "a", Set(d.index, TARGET_PHASE_PENDING, "gone")).empty());
  d.Report("a", 1, id, "a/x", TARGET_PHASE_PENDING, "gone");
  EXPECT_EQ(d.state.Find(id)->experiment().targets(0).phase(), TARGET_PHASE_REVERTING);
}

TEST_F(Reports, ThatAFaultWaitsChangeNothingBeforeTheClusterKnowsOfIt) {
  d.RaiseVersion(6);
  d.Report("a", 1, id, "a/x", TARGET_PHASE_ACTIVE);
  EXPECT_TRUE(NewReports(d.state, "a", Set(d.index, TARGET_PHASE_PENDING, "gone")).empty());
  d.Report("a", 1, id, "a/x", TARGET_PHASE_PENDING, "gone");
  EXPECT_EQ(d.state.Find(id)->experiment().targets(0).phase(), TARGET_PHASE_ACTIVE);
}

}  // namespace
}  // namespace faultline::control
