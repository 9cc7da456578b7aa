// What controllers show over HTTP: metrics that Prometheus's own linter accepts, and probes that
// tell the truth.
#include <gtest/gtest.h>

#include "tests/cluster/cluster.h"
#include "tests/cluster/http_get.h"
#include "tests/cluster/test_agent.h"
#include "tests/ports/free_ports.h"

namespace faultline::cluster {
namespace {

class Http : public testing::Test {
 protected:
  static constexpr int kNodes = 3;

  Http() : ports_(FreePorts(kNodes)) {
    Cluster::Options options;
    options.nodes = kNodes;
    for (int node = 0; node < kNodes; ++node) {
      options.flags[node] = {"--http-listen", fmt::format("127.0.0.1:{}", port(node))};
    }
    cluster_ = std::make_unique<Cluster>(options);
  }
  int port(int node) const { return ports_[static_cast<size_t>(node)]; }

  const std::vector<int> ports_;
  std::unique_ptr<Cluster> cluster_;
};

TEST_F(Http, ShowsMetricsThatPromtoolAccepts) {
  if (Shell("command -v promtool").code != 0) GTEST_SKIP() << "promtool is not installed";
  TestAgent agent({.controllers = cluster_->api_addresses()});
  ASSERT_TRUE(Eventually([&] { return agent.grants() > 0; }));
  const auto started = cluster_->StartExperiment(0, LatencyOn("service:checkout"));
  ASSERT_TRUE(started.ok()) << started.status();
  ASSERT_TRUE(cluster_->WaitForPhase(0, started->experiment_id(), chaos::v1::TARGET_PHASE_ACTIVE));
  for (int node = 0; node < kNodes; ++node) {
    const Ended checked =
        Shell(fmt::format("curl -s {} | promtool check metrics", Url(port(node), "/metrics")));
    EXPECT_EQ(checked.code, 0) << checked.text;
    EXPECT_EQ(checked.text, "");
  }
  for (const char* line : {"faultline_experiments{status=\"running\"} 1\n",
                           "faultline_faults{kind=\"NETWORK_LATENCY\",phase=\"active\"} 1\n",
                           "faultline_agents{state=\"connected\"} 1\n",
                           "faultline_raft_role{role=\"leader\"} 1\n", "faultline_raft_members 3\n",
                           "faultline_raft_storage_ok 1\n", "faultline_raft_snapshots_ok 1\n",
                           "faultline_raft_refused_peers_total{reason=\"OTHER_CLUSTER\"} 0\n"}) {
    std::string leader;  // may be another one each time
    EXPECT_TRUE(Eventually([&] {
      leader = Get(port(cluster_->WaitForLeader()), "/metrics").body;
      return leader.find(line) != std::string::npos;
    })) << line
        << leader;
  }
  const std::string served = Get(port(0), "/metrics").body;
  EXPECT_NE(served.find("faultline_rpc_ended_total{service=\"chaos.v1.ChaosController\",method="
                        "\"StartExperiment\",code=\"OK\"} 1\n"),
            std::string::npos)
      << served;
}

TEST_F(Http, CountsCallsByTheCodeThatTheCallerGot) {
  // A node that has just begun, on a busy machine, may not have found its leader yet.
  ASSERT_TRUE(Eventually(
      [&] { return cluster_->Get(0, "exp-none").status().code() == StatusCode::kNotFound; }));
  std::string metrics;  // a call is counted once it is over at the node
  EXPECT_TRUE(Eventually([&] {
    metrics = Get(port(0), "/metrics").body;
    return metrics.find("method=\"GetExperiment\",code=\"NOT_FOUND\"} 1\n") != std::string::npos;
  })) << metrics;
}

TEST_F(Http, SaysReadyOnlyWhileAMajorityIsThere) {
  for (int node = 0; node < kNodes; ++node) {
    EXPECT_TRUE(Eventually([&] { return Get(port(node), "/readyz").status == "200"; }))
        << Get(port(node), "/readyz").body;
    EXPECT_EQ(Get(port(node), "/healthz").body, "ok\n");
  }
  cluster_->process(1).Kill();
  cluster_->process(2).Kill();
  Answer ready;
  EXPECT_TRUE(Eventually([&] {
    ready = Get(port(0), "/readyz");
    return ready.status == "503" && ready.body == "no leader is known\n";
  })) << ready.body;
  // Starting it again would help nobody.
  EXPECT_EQ(Get(port(0), "/healthz").status, "200");
}

TEST(HttpListen, IsRefusedWhenItIsTakenOrOpenToAll) {
  const TempDir directory;
  const auto ports = FreePorts(3);
  Cluster first({.flags = {{0, {"--http-listen", fmt::format("127.0.0.1:{}", ports[2])}}}});
  const auto run = [&](const std::string& address) {
    Process process(
        {std::string(FAULTLINE_BIN_DIR) + "/faultline-controller", "--data-dir", directory.path(),
         "--api-listen", fmt::format("127.0.0.1:{}", ports[0]), "--peer-listen",
         fmt::format("127.0.0.1:{}", ports[1]), "--http-listen", address, "--log-level", "off"},
        directory.path() + "/log-" + address);
    EXPECT_EQ(process.Wait(), 2);
    return process.log();
  };
  const std::string taken = fmt::format("127.0.0.1:{}", ports[2]);
  EXPECT_NE(run(taken).find("cannot listen on " + taken), std::string::npos);
  EXPECT_NE(run("0.0.0.0:0").find("'0.0.0.0:0' is not allowed"), std::string::npos);
  EXPECT_NE(run("nonsense").find("'nonsense' is not allowed"), std::string::npos);
}

}  // namespace
}  // namespace faultline::cluster
