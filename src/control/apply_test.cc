#include "control/apply.h"

#include <gtest/gtest.h>

#include "control/test_support.h"

namespace faultline::control {
namespace {

using namespace chaos::v1;  // NOLINT: the enumerators of TargetPhase and ExperimentStatus
using testing::Driver;

class Experiments : public ::testing::Test {
 protected:
  void SetUp() override {
    d.Register("a", 1, {"x", "y"});
    d.Register("b", 1, {"x"});
  }
  std::string Reason() const { return DetailOf(d.error)->reason(); }
  Driver d;
};

TEST_F(Experiments, BeginPendingOnEveryTargetMatched) {
  const std::string id = d.Create("service:x");
  const auto& experiment = d.Get(id);
  EXPECT_EQ(experiment.status(), EXPERIMENT_STATUS_PENDING);
  EXPECT_EQ(experiment.phase(), "arming");
  ASSERT_EQ(experiment.targets_size(), 2);
  EXPECT_EQ(experiment.targets(0).target_id(), "a/x");
  EXPECT_EQ(experiment.targets(1).target_id(), "b/x");
  EXPECT_EQ(experiment.targets(0).lease().seconds(), 10);
  EXPECT_EQ(ToUnixMs(experiment.ends_at()) - ToUnixMs(experiment.created_at()), 60'000);
  EXPECT_EQ(experiment.revision(), d.index);
}

TEST_F(Experiments, RunOnceATargetIsActiveAndCompleteOnceAllHaveReverted) {
  const std::string id = d.Create("service:x");
  d.Report("a", 1, id, "a/x", TARGET_PHASE_ACTIVE);
  EXPECT_EQ(d.Get(id).status(), EXPERIMENT_STATUS_RUNNING);
  EXPECT_EQ(d.Get(id).phase(), "active");
  d.Stop({id});
  EXPECT_EQ(d.Get(id).status(), EXPERIMENT_STATUS_RUNNING);
  EXPECT_EQ(d.Get(id).phase(), "stopping");
  EXPECT_EQ(d.PhaseOf(id, 1), TARGET_PHASE_REVERTING);
  d.Report("a", 1, id, "a/x", TARGET_PHASE_REVERTED);
  EXPECT_EQ(d.Get(id).status(), EXPERIMENT_STATUS_RUNNING);
  d.Report("b", 1, id, "b/x", TARGET_PHASE_REVERTED);
  EXPECT_EQ(d.Get(id).status(), EXPERIMENT_STATUS_COMPLETED);
  EXPECT_EQ(d.Get(id).phase(), "stopped");
  EXPECT_EQ(d.Get(id).reason(), "stopped by tester");
  EXPECT_EQ(ToUnixMs(d.Get(id).ended_at()), d.now_ms);
  EXPECT_TRUE(d.state.unfinished.empty());
}

TEST_F(Experiments, NeverActiveEndFailed) {
  const std::string id = d.Create("service:x");
  d.Report("a", 1, id, "a/x", TARGET_PHASE_REFUSED, "no such interface");
  EXPECT_EQ(d.Get(id).status(), EXPERIMENT_STATUS_PENDING);
  d.Report("b", 1, id, "b/x", TARGET_PHASE_REFUSED, "no such interface");
  EXPECT_EQ(d.Get(id).status(), EXPERIMENT_STATUS_FAILED);
  EXPECT_EQ(d.Get(id).phase(), "refused");
  EXPECT_EQ(d.Get(id).reason(), "no such interface");
}

TEST_F(Experiments, ThatWereActiveForAMomentBeforeTheirStopAreCompleted) {
  const std::string id = d.Create("service:y");
  d.Stop({id});
  d.Report("a", 1, id, "a/y", TARGET_PHASE_ACTIVE);
  EXPECT_EQ(d.PhaseOf(id), TARGET_PHASE_REVERTING);
  d.Report("a", 1, id, "a/y", TARGET_PHASE_REVERTED);
  EXPECT_EQ(d.Get(id).status(), EXPERIMENT_STATUS_COMPLETED);
}

TEST_F(Experiments, ExpireAtTheirEndAndNotBefore) {
  const std::string id = d.Create("service:y");
  d.Report("a", 1, id, "a/y", TARGET_PHASE_ACTIVE);
  EXPECT_EQ(NextExpiryMs(d.state), ToUnixMs(d.Get(id).ends_at()));
  d.now_ms = ToUnixMs(d.Get(id).ends_at()) - 2;
  EXPECT_TRUE(d.Expire().experiments.empty());
  EXPECT_EQ(d.Get(id).phase(), "active");
  EXPECT_EQ(d.Expire().experiments, std::set{d.state.Find(id)->created_index()});
  EXPECT_EQ(d.Get(id).phase(), "expiring");
  EXPECT_EQ(d.Get(id).status(), EXPERIMENT_STATUS_RUNNING);
  d.Report("a", 1, id, "a/y", TARGET_PHASE_REVERTED);
  EXPECT_EQ(d.Get(id).phase(), "expired");
  EXPECT_EQ(d.Get(id).status(), EXPERIMENT_STATUS_COMPLETED);
  EXPECT_EQ(NextExpiryMs(d.state), INT64_MAX);
}

TEST_F(Experiments, OnALostAgentCompleteBecauseItsLeasesHaveRunOut) {
  const std::string id = d.Create("service:y");
  d.Report("a", 1, id, "a/y", TARGET_PHASE_ACTIVE);
  d.Disconnect("a", 1);
  EXPECT_EQ(d.Get(id).status(), EXPERIMENT_STATUS_RUNNING);
  d.Lose("a", 2);
  EXPECT_EQ(d.PhaseOf(id), TARGET_PHASE_ACTIVE) << "another incarnation is not meant";
  d.Lose("a", 1);
  EXPECT_EQ(d.PhaseOf(id), TARGET_PHASE_LOST);
  EXPECT_EQ(d.Get(id).status(), EXPERIMENT_STATUS_COMPLETED);
  EXPECT_EQ(d.Get(id).phase(), "lost");
}

TEST_F(Experiments, RepeatedByRequestIdAreTheSame) {
  const std::string id = d.Create("service:x", "req-1");
  EXPECT_EQ(d.Create("service:x", "req-1"), id);
  EXPECT_EQ(d.state.experiments.size(), 1u);
  EXPECT_EQ(d.Create("service:y", "req-1"), "");
  EXPECT_EQ(d.error.code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(ToString(d.error.message()),
            "request id 'req-1' was used for another request, which made experiment '" + id + "'");
  EXPECT_EQ(DetailOf(d.error)->metadata().at("experiment_id"), id);
}

TEST_F(Experiments, OnABusyTargetAreRefusedNamingTheOther) {
  const std::string id = d.Create("service:x");
  EXPECT_EQ(d.Create("agent:a", "second"), "");
  EXPECT_EQ(d.error.code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(Reason(), "TARGET_BUSY");
  EXPECT_EQ(DetailOf(d.error)->metadata().at("experiment_id"), id);
  EXPECT_EQ(
      ToString(d.error.message()),
      "target 'a/x' is busy: experiment '" + id +
          "' has network/egress until it ends, and 'second' wants the same for KIND; only "
          "one fault at a time may have that of a target: stop that experiment, or ask for other "
          "targets or another filter");
  EXPECT_EQ(DetailOf(d.error)->metadata().at("request_id"), "second");
  EXPECT_NE(d.Create("service:x", "", "ingress"), "");
  d.Stop({id});
  EXPECT_EQ(d.Create("target:a/x"), "") << "reverting is still busy";
  d.Report("a", 1, id, "a/x", TARGET_PHASE_REVERTED);
  EXPECT_NE(d.Create("target:a/x"), "");
}

TEST_F(Experiments, OnAnAgentThatCannotAreRefusedInItsOwnWords) {
  d.Register("c", 1, {"z"}, /*tun=*/false);
  EXPECT_EQ(d.Create("service:z"), "");
  EXPECT_EQ(d.error.code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(Reason(), "CAPABILITY_MISSING");
  EXPECT_EQ(ToString(d.error.message()),
            "agent 'c' cannot put KIND on target 'c/z': /dev/net/tun cannot be opened");
}

TEST_F(Experiments, OnADisconnectedAgentAreRefusedNamingIt) {
  d.Disconnect("b", 1);
  EXPECT_EQ(d.Create("service:x"), "");
  EXPECT_EQ(d.error.code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(ToString(d.error.message()), "agent 'b' of target 'b/x' is not connected");
}

TEST_F(Experiments, RefusedChangeNothing) {
  d.Create("service:x");
  const size_t before = d.state.experiments.size();
  const Outcome outcome = d.Apply(Driver::CreateCommand("service:x", "r"));
  EXPECT_TRUE(outcome.result.has_error());
  EXPECT_TRUE(outcome.experiments.empty());
  EXPECT_EQ(d.state.experiments.size(), before);
}

TEST_F(Experiments, AreStoppedAllOrNoneWhenOneIsUnknown) {
  const std::string id = d.Create("service:x");
  const Outcome outcome = d.Stop({id, "exp-999"});
  EXPECT_EQ(FromError(outcome.result.error()).code(), StatusCode::kNotFound);
  EXPECT_EQ(d.Get(id).phase(), "arming");
  EXPECT_EQ(d.Stop({}, true).result.experiments_size(), 1);
  EXPECT_EQ(d.Get(id).phase(), "stopping");
}

TEST_F(Experiments, StoppedTwiceKeepTheFirstReason) {
  const std::string id = d.Create("service:y");
  d.Stop({id});
  const uint64_t revision = d.Get(id).revision();
  EXPECT_EQ(d.Stop({id}).result.experiments(0).revision(), revision);
}

TEST_F(Experiments, StayDesiredWhenTheAgentRestarts) {
  const std::string id = d.Create("service:y");
  d.Report("a", 1, id, "a/y", TARGET_PHASE_ACTIVE);
  d.Register("a", 2, {"x", "y"});
  EXPECT_EQ(d.PhaseOf(id), TARGET_PHASE_PENDING);
  EXPECT_EQ(d.Get(id).status(), EXPERIMENT_STATUS_RUNNING);
  EXPECT_EQ(DesiredFor(d.state, "a", d.now_ms).faults_size(), 1);
  d.Report("a", 1, id, "a/y", TARGET_PHASE_REVERTED);
  EXPECT_EQ(d.PhaseOf(id), TARGET_PHASE_PENDING) << "the old start's word no longer counts";
  d.Report("a", 2, id, "a/y", TARGET_PHASE_ACTIVE);
  EXPECT_EQ(d.PhaseOf(id), TARGET_PHASE_ACTIVE);
}

TEST_F(Experiments, ThatWereEndingWaitForTheWordOfARestartedAgent) {
  const std::string id = d.Create("service:y");
  d.Report("a", 1, id, "a/y", TARGET_PHASE_ACTIVE);
  d.Register("a", 2, {"x", "y"});
  d.Report("a", 2, id, "a/y", TARGET_PHASE_ACTIVE);
  d.Stop({id});
  d.Register("a", 1, {"x", "y"});  // late: of the process before
  d.Register("a", 2, {"x", "y"});
  EXPECT_EQ(d.PhaseOf(id), TARGET_PHASE_REVERTING) << "the second process has it armed";
  d.Report("a", 2, id, "a/y", TARGET_PHASE_REVERTED);
  EXPECT_EQ(d.Get(id).status(), EXPERIMENT_STATUS_COMPLETED);
}

TEST_F(Experiments, AreKeptUpToALimitOldestDroppedFirst) {
  const std::string first = d.Create("service:y", "first");
  d.Report("a", 1, first, "a/y", TARGET_PHASE_REFUSED);
  const std::string running = d.Create("target:b/x");
  for (size_t i = 0; i < kMaxFinishedExperiments; ++i) {
    const std::string id = d.Create("service:y");
    d.Report("a", 1, id, "a/y", TARGET_PHASE_REFUSED);
  }
  EXPECT_EQ(d.state.experiments.size(), kMaxFinishedExperiments + 1);
  EXPECT_EQ(d.state.Find(first), nullptr);
  EXPECT_FALSE(d.state.index_of_request.contains("first"));
  EXPECT_NE(d.state.Find(running), nullptr);
}

TEST_F(Experiments, AreDroppedInTheOrderOfTheirEndsOnceTheClusterHasSwitchedToIt) {
  const std::string longest = d.Create("target:b/x");
  std::string first_ended;
  for (size_t i = 0; i < kMaxFinishedExperiments; ++i) {
    const std::string id = d.Create("service:y");
    d.Report("a", 1, id, "a/y", TARGET_PHASE_REFUSED);
    if (i == 0) first_ended = id;
  }
  v1::Command raise;
  raise.mutable_raise_version()->set_version(2);
  EXPECT_EQ(VersionOf(raise), 2u);
  d.Apply(raise);
  EXPECT_EQ(d.state.version, 2u);
  const Outcome ended = d.Report("b", 1, longest, "b/x", TARGET_PHASE_REFUSED);
  EXPECT_TRUE(ended.experiments.contains(d.state.Find(longest)->created_index()));
  EXPECT_NE(d.state.Find(longest), nullptr) << "its end could not be told";
  EXPECT_EQ(d.state.Find(first_ended), nullptr);
}

TEST_F(Experiments, AreDesiredWithTheTimeLeftNeverMoreThanTheirDuration) {
  const std::string id = d.Create("service:y");
  const int64_t begun_ms = d.now_ms;
  EXPECT_EQ(DesiredFor(d.state, "b", begun_ms).faults_size(), 0);
  const auto desired = DesiredFor(d.state, "a", begun_ms + 1'500);
  ASSERT_EQ(desired.faults_size(), 1);
  EXPECT_EQ(desired.faults(0).experiment_id(), id);
  EXPECT_EQ(desired.faults(0).target_id(), "a/y");
  EXPECT_EQ(desired.faults(0).seed(), 7u);
  EXPECT_EQ(desired.faults(0).remaining().seconds(), 58);
  EXPECT_EQ(desired.faults(0).remaining().nanos(), 500'000'000);
  EXPECT_EQ(DesiredFor(d.state, "a", begun_ms - 5'000).faults(0).remaining().seconds(), 60);
  EXPECT_EQ(DesiredFor(d.state, "a", begun_ms + 60'000).faults_size(), 0);
  // By a clock that is hours ahead: by what the node has seen of it.
  const auto ahead = DesiredFor(d.state, "a", INT64_MAX / 2, [](uint64_t) { return 20'000; });
  EXPECT_EQ(ahead.faults(0).remaining().seconds(), 40);
  d.Stop({id});
  EXPECT_EQ(DesiredFor(d.state, "a", begun_ms).faults_size(), 0);
}

TEST_F(Experiments, OverTooManyTargetsAreRefused) {
  std::vector<std::string> names;
  for (size_t i = 0; i <= kMaxPairs; ++i) names.push_back(fmt::format("t{}", i));
  d.Register("big", 1, names);
  EXPECT_EQ(d.Create("agent:big"), "");
  EXPECT_EQ(d.error.code(), StatusCode::kInvalidArgument);
}

TEST(Agents, MoveBetweenNodesWithoutBeingDisconnectedByTheOldOne) {
  Driver d;
  d.Register("a", 1, {"x"});
  d.Disconnect("a", 1, /*node=*/2);
  EXPECT_TRUE(d.state.agents["a"].connected());
  d.Disconnect("a", 2);
  EXPECT_TRUE(d.state.agents["a"].connected());
  d.Disconnect("a", 1);
  EXPECT_FALSE(d.state.agents["a"].connected());
}

TEST(Agents, GoneForADayAreForgotten) {
  Driver d;
  d.Register("a", 1, {"x"});
  d.Disconnect("a", 1);
  d.now_ms += kForgetAgentAfterMs - 2;
  d.Expire();
  EXPECT_TRUE(d.state.agents.contains("a"));
  d.Expire();
  EXPECT_FALSE(d.state.agents.contains("a"));
}

TEST(Cluster, KeepsItsFirstId) {
  Driver d;
  v1::Command command;
  command.mutable_init_cluster()->set_cluster_id("first");
  d.Apply(command);
  command.mutable_init_cluster()->set_cluster_id("second");
  d.Apply(command);
  EXPECT_EQ(d.state.cluster_id, "first");
}

TEST(Cluster, RefusesCommandsItDoesNotKnow) {
  Driver d;
  EXPECT_EQ(FromError(d.Apply(v1::Command()).result.error()).code(), StatusCode::kUnimplemented);
}

}  // namespace
}  // namespace faultline::control
