// Nodes that run different versions: one version at a time.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>

#include "tests/cluster/cluster.h"
#include "tests/cluster/load.h"
#include "tests/cluster/test_agent.h"

namespace faultline::cluster {
namespace {

constexpr char kSelector[] = "service:checkout,version:v1";

TEST(Versions, SwitchWhenEveryMemberKnowsALaterOneAndStopWhoDoesNot) {
  constexpr char kSwitched[] = ": the cluster switches to it";
  Cluster cluster({.nodes = 3, .flags = {{2, {"--max-version", "1"}}}});
  TestAgent agent({.controllers = cluster.api_addresses()});
  ASSERT_TRUE(cluster.WaitForAgent(0));
  const auto logged = [&](const char* text) {
    for (int node = 0; node < 3; ++node) {
      if (cluster.process(node).log().find(text) != std::string::npos) return true;
    }
    return false;
  };
  const auto switched = [&] { return logged(kSwitched); };
  const auto write = [&](int node) {
    return Eventually([&] {  // the agent may just be on its way to another node
      const auto started = cluster.StartExperiment(node, LatencyOn(kSelector));
      return started.ok() && cluster.Stop(node, started->experiment_id(), 10).ok();
    });
  };
  for (int node = 0; node < 3; ++node) EXPECT_TRUE(write(node)) << "node " << node;
  // Whoever leads says so, unless it is the old one, which knows of nothing later.
  EXPECT_TRUE(Eventually([&] {
    if (cluster.WaitForLeader() == 2) {
      cluster.process(2).Signal(SIGTERM);
      cluster.process(2).Wait();
      cluster.Start(2);
    }
    return logged("node 3 knows versions up to 1");
  }));
  EXPECT_FALSE(switched()) << "one member runs the old version";

  cluster.process(2).Signal(SIGTERM);
  cluster.process(2).Wait();
  cluster.SetFlags(2, {});
  cluster.Start(2);
  EXPECT_TRUE(Eventually(switched));
  EXPECT_TRUE(write(2));

  // Too late to go back: the old version stops before it could differ.
  cluster.process(2).Signal(SIGTERM);
  cluster.process(2).Wait();
  cluster.SetFlags(2, {"--max-version", "1"});
  cluster.Start(2);
  EXPECT_TRUE(Eventually([&] {
    return cluster.process(2).log().find(
               "this program knows versions up to 1: start a newer "
               "faultline-controller on this data directory") != std::string::npos;
  }));
  EXPECT_TRUE(write(0));
  EXPECT_TRUE(write(1));
}

TEST(Versions, TheHistoryHoldsWhileNodesAreUpgradedOneAfterTheOtherUnderLoad) {
  const std::vector<std::string> old = {"--max-version", "1"};
  Cluster cluster({.nodes = 3, .flags = {{0, old}, {1, old}, {2, old}}});
  Load load(cluster.api_addresses());
  ASSERT_TRUE(load.IsReady());
  const auto own_log_says = [&](int node, const char* text) {
    return cluster.process(node).own_log().find(text) != std::string::npos;
  };
  load.While([&] {
    for (int node = 0; node < cluster.size(); ++node) {
      load.Sleep(1'000, 2'000);
      cluster.process(node).Signal(SIGTERM);
      EXPECT_EQ(cluster.process(node).Wait(), 0);
      cluster.SetFlags(node, {});
      cluster.Start(node);
      // From then on it ends in order.
      EXPECT_TRUE(Eventually([&] { return own_log_says(node, " serves on "); }))
          << cluster.process(node).own_log();
    }
    EXPECT_TRUE(Eventually([&] {
      for (int node = 0; node < cluster.size(); ++node) {
        if (own_log_says(node, ": the cluster switches to it")) return true;
      }
      return false;
    }));
    load.Sleep(2'000, 3'000);
  });
  load.Judge({0, 1, 2});
}

TEST(Versions, AnEarlierProgramWorksBesideThisOneAndLeavesItsDataToIt) {
  const char* earlier = std::getenv("FAULTLINE_EARLIER_CONTROLLER");
  if (earlier == nullptr) {
    GTEST_SKIP() << "FAULTLINE_EARLIER_CONTROLLER is not set: a faultline-controller of an earlier "
                    "release, to run beside this one";
  }
  Cluster cluster({.nodes = 3, .programs = {{0, earlier}, {1, earlier}}});
  TestAgent agent({.controllers = cluster.api_addresses()});
  ASSERT_TRUE(cluster.WaitForAgent(0));
  int written = 0;
  const auto all_agree = [&] {
    for (int node = 0; node < 3; ++node) {
      const auto started = cluster.StartExperiment(node, LatencyOn(kSelector));
      ASSERT_TRUE(started.ok()) << "node " << node << ": " << started.status();
      const auto stopped = cluster.Stop(node, started->experiment_id(), 10);
      ASSERT_TRUE(stopped.ok()) << "node " << node << ": " << stopped.status();
      ++written;
    }
    for (int node = 0; node < 3; ++node) {
      const auto listed = cluster.List(node);
      ASSERT_TRUE(listed.ok()) << "node " << node << ": " << listed.status();
      EXPECT_EQ(listed->experiments_size(), written) << "node " << node;
    }
  };
  all_agree();
  // Upgraded one after the other, each on its own data; the last one still leads or follows.
  for (int node = 0; node < 2; ++node) {
    cluster.process(node).Signal(SIGTERM);
    cluster.process(node).Wait();
    cluster.SetProgram(node, Cluster::DefaultProgram());
    cluster.Start(node);
    all_agree();
  }
}

}  // namespace
}  // namespace faultline::cluster
