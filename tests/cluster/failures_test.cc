// Nodes that are killed, cut off, restarted.
#include <gtest/gtest.h>

#include <csignal>
#include <thread>

#include "base/clock.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/test_agent.h"

namespace faultline::cluster {
namespace {

constexpr char kSelector[] = "service:checkout,version:v1";

TEST(ThreeNodes, KeepAnExperimentThroughTheDeathOfTheirLeader) {
  Cluster cluster({.nodes = 3});
  int leader = cluster.WaitForLeader();
  int follower = (leader + 1) % 3;
  TestAgent agent({.controllers = cluster.api_addresses()});
  ASSERT_TRUE(cluster.WaitForAgent(follower));
  const auto started = cluster.StartExperiment(follower, LatencyOn(kSelector, "the-request"));
  ASSERT_TRUE(started.ok()) << started.status();
  const std::string id = started->experiment_id();
  ASSERT_TRUE(cluster.WaitForPhase(follower, id, chaos::v1::TARGET_PHASE_ACTIVE));

  leader = cluster.WaitForLeader();  // on a busy machine it may be another one by now
  follower = (leader + 1) % 3;
  cluster.process(leader).Kill();
  cluster.WaitForLeader(leader);
  const auto survivor = cluster.Get(follower, id);
  ASSERT_TRUE(survivor.ok()) << survivor.status();
  EXPECT_EQ(survivor->status(), chaos::v1::EXPERIMENT_STATUS_RUNNING);
  EXPECT_EQ(survivor->targets(0).phase(), chaos::v1::TARGET_PHASE_ACTIVE);
  const auto again = cluster.StartExperiment(follower, LatencyOn(kSelector, "the-request"));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->experiment_id(), id);

  ASSERT_TRUE(Eventually([&] { return agent.connected(); }));
  const auto stopped = cluster.Stop(follower, id, 20);
  ASSERT_TRUE(stopped.ok()) << stopped.status();
  EXPECT_EQ(stopped->status(), chaos::v1::EXPERIMENT_STATUS_COMPLETED);

  // The killed one comes back by itself, with what it missed.
  cluster.Start(leader);
  EXPECT_TRUE(Eventually([&] {
    const auto experiment = cluster.Get(leader, id, /*stale=*/true);
    return experiment.ok() && experiment->status() == chaos::v1::EXPERIMENT_STATUS_COMPLETED;
  }));
}

TEST(ThreeNodes, AnswerThatThereIsNoLeaderWhenTheMajorityIsGone) {
  Cluster cluster({.nodes = 3});
  const int left = cluster.Follower();
  for (int node = 0; node < 3; ++node) {
    if (node != left) cluster.process(node).Kill();
  }
  const auto listed = cluster.List(left);
  EXPECT_EQ(listed.status().code(), StatusCode::kUnavailable);
  ASSERT_TRUE(DetailOf(listed.status()).has_value()) << listed.status();
  EXPECT_EQ(DetailOf(listed.status())->reason(), "NO_LEADER");
  EXPECT_EQ(cluster.Get(left, "exp-1", /*stale=*/true).status().code(), StatusCode::kNotFound);
}

class Minority : public ::testing::TestWithParam<bool> {};

TEST_P(Minority, GrantsNoLeaseBeyondHalfALeaseAfterItsQuorum) {
  constexpr uint64_t kLeaseNs = 4 * kNanosPerSecond;
  Cluster cluster({.nodes = 3, .lease = "4s"});
  const int alone = GetParam() ? cluster.WaitForLeader() : cluster.Follower();
  TestAgent agent({.controllers = {cluster.api_address(alone)}});
  ASSERT_TRUE(Eventually([&] { return agent.grants() > 5; }));
  for (int node = 0; node < 3; ++node) {
    if (node != alone) cluster.process(node).Kill();
  }
  const uint64_t killed_ns = BoottimeNowNs();
  std::this_thread::sleep_for(std::chrono::nanoseconds(2 * kLeaseNs));
  EXPECT_TRUE(Eventually([&] { return agent.connected(); })) << "the agent asks on and on";
  // The last renewal that was granted: when its grant has come is this machine's affair.
  const uint64_t asked_ns = agent.last_grant().sent_boottime_ns();
  EXPECT_LT(asked_ns, killed_ns + kLeaseNs / 2)
      << "grants went on for " << (asked_ns - killed_ns) / kNanosPerMilli << " ms";
}

INSTANTIATE_TEST_SUITE_P(Nodes, Minority, ::testing::Bool(), [](const auto& test) {
  return test.param ? "ThatHasLed" : "ThatHasFollowed";
});

TEST(OneNode, KeepsItsStateThroughAKillAndAnOrderlyEnd) {
  Cluster cluster({});
  TestAgent agent({.controllers = cluster.api_addresses()});
  ASSERT_TRUE(Eventually([&] { return agent.grants() > 0; }));
  const auto started = cluster.StartExperiment(0, LatencyOn(kSelector, "r"));
  ASSERT_TRUE(started.ok()) << started.status();
  ASSERT_TRUE(cluster.WaitForPhase(0, started->experiment_id(), chaos::v1::TARGET_PHASE_ACTIVE));
  const std::string cluster_id = agent.cluster_id();

  cluster.process(0).Kill();
  cluster.Start(0);
  // A call may still go out on the connection of the process that was killed.
  StatusOr<chaos::v1::Experiment> kept = absl::UnavailableError("not asked yet");
  ASSERT_TRUE(Eventually([&] { return (kept = cluster.Get(0, started->experiment_id())).ok(); }))
      << kept.status();
  EXPECT_EQ(kept->status(), chaos::v1::EXPERIMENT_STATUS_RUNNING);
  EXPECT_EQ(cluster.StartExperiment(0, LatencyOn(kSelector, "r"))->experiment_id(),
            started->experiment_id());

  cluster.process(0).Signal(SIGTERM);
  EXPECT_EQ(cluster.process(0).Wait(), 0);
  cluster.Start(0);
  ASSERT_TRUE(Eventually([&] { return agent.connected(); }));
  EXPECT_EQ(agent.cluster_id(), cluster_id);
  const auto stopped = cluster.Stop(0, started->experiment_id(), 20);
  ASSERT_TRUE(stopped.ok()) << stopped.status();
  EXPECT_EQ(stopped->status(), chaos::v1::EXPERIMENT_STATUS_COMPLETED);
}

TEST(OneNode, EndsInOrderWhileCallsAndStreamsAreOpen) {
  Cluster cluster({.lease = "60s"});  // the agent is not to be lost meanwhile
  TestAgent agent({.controllers = cluster.api_addresses(), .silent = true});
  ASSERT_TRUE(Eventually([&] {
    const auto agents = cluster.Agents(0);
    return agents.ok() && agents->agents_size() == 1;
  }));
  const auto started = cluster.StartExperiment(0, LatencyOn(kSelector));
  ASSERT_TRUE(started.ok()) << started.status();
  grpc::ClientContext context;
  const auto stub = cluster.Stub(0);
  const auto watch = stub->WatchExperiments(&context, {});
  chaos::v1::WatchExperimentsResponse response;
  ASSERT_TRUE(watch->Read(&response));
  // The agent never says that it has reverted: this waits for as long as it may.
  StatusOr<chaos::v1::Experiment> stopped;
  std::thread waiting([&] { stopped = cluster.Stop(0, started->experiment_id(), 600); });
  ASSERT_TRUE(Eventually([&] {
    const auto stopping = cluster.Get(0, started->experiment_id());
    return stopping.ok() && stopping->phase() == "stopping";
  }));
  const uint64_t asked_ns = BoottimeNowNs();
  cluster.process(0).Signal(SIGTERM);
  EXPECT_EQ(cluster.process(0).Wait(), 0);
  // The call itself ends kPatience after it began.
  EXPECT_LT(BoottimeNowNs() - asked_ns, 30 * kNanosPerSecond) << "it waited for a call";
  waiting.join();
  EXPECT_TRUE(!stopped.ok() || stopped->phase() == "stopping");
  while (watch->Read(&response)) {
  }
}

}  // namespace
}  // namespace faultline::cluster
