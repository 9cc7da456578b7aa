// Metrics of a real agent (all of it but the kernel) while its node dies or stands still: every
// subscriber goes on with another node, and what it has counted is whole.
#include <gtest/gtest.h>

#include <csignal>

#include "base/clock.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/counting_agent.h"
#include "tests/cluster/subscriber.h"

namespace faultline::cluster {
namespace {

class AgentsNode : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    agent.Start(cluster.api_addresses());
    ASSERT_TRUE(Eventually([&] {
      const auto agents = cluster.Agents(0);
      if (!agents.ok() || agents->agents_size() == 0) return false;
      node = static_cast<int>(agents->agents(0).node_id()) - 1;
      return agents->agents(0).connected();
    }));
    StatusOr<chaos::v1::Experiment> started;
    // An agent that is just going to another node, as on a busy machine, takes no fault.
    ASSERT_TRUE(Eventually([&] {
      return (started = cluster.StartExperiment(node, LatencyOn("service:checkout"))).ok();
    })) << started.status();
    id = started->experiment_id();
    ASSERT_TRUE(cluster.WaitForPhase(node, id, chaos::v1::TARGET_PHASE_ACTIVE));
  }

  CountingAgent agent;  // first: it forks
  Cluster cluster{{.nodes = 3}};
  int node = 0;  // the agent's
  std::string id;
};

TEST_P(AgentsNode, IsLeftForAnotherWithoutAHoleThatIsNotMarked) {
  const Subscribers subscribers = SubscribeAtEach(cluster.api_addresses(), id);
  IdleWatcher watcher(cluster.api_address((node + 1) % cluster.size()));
  ExpectMore(subscribers, 5);
  const uint64_t dead_ns = MonotonicNowNs();
  cluster.process(node).Signal(GetParam());
  ExpectMore(subscribers, 60);
  // One that was only asleep has the old batches still to tell.
  if (GetParam() == SIGSTOP) {
    cluster.process(node).Signal(SIGCONT);
    ExpectMore(subscribers, 30);
  }
  for (size_t i = 0; i < subscribers.size(); ++i) {
    SCOPED_TRACE(fmt::format("subscriber of node {}, the agent's was {}", i + 1, node + 1));
    subscribers[i]->End();
    ExpectWhole(subscribers[i]->arrivals());
    const auto paused_ms = LongestPauseNs(subscribers[i]->arrivals(), dead_ns) / kNanosPerMilli;
    RecordProperty(fmt::format("longest_pause_ms_{}{}", i + 1, int(i) == node ? "_dead" : ""),
                   fmt::format("{}", paused_ms));
  }
  for (const std::string& why : watcher.End()) {
    EXPECT_EQ(why.find("too_many_pings"), std::string::npos) << why;
  }
}

INSTANTIATE_TEST_SUITE_P(Which, AgentsNode, ::testing::Values(SIGKILL, SIGSTOP),
                         [](const auto& test) {
                           return test.param == SIGKILL ? "IsKilled" : "StandsStill";
                         });

}  // namespace
}  // namespace faultline::cluster
