// Faultline under its own faults: a second one, a controller with an agent, cuts one of three
// controllers off in the kernel, by BPF on its link, while clients work at all of them. What the
// clients saw must be what one linearizable server could have shown them; the node that is cut off
// tells nothing, and has caught up once the experiment is stopped.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>
#include <iostream>
#include <map>

#include "bpf/probe.h"
#include "client/client.h"
#include "e2e/agent_system.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/load.h"
#include "tests/cluster/sites.h"

namespace faultline::e2e {
namespace {

using cluster::Eventually;
using cluster::Load;
using cluster::Sites;

constexpr int kNodes = 3;

struct Fault {
  const char* name;
  bool of_leader;  // else of a follower
  const char* kind;
  std::map<std::string, std::string> parameters;  // beside the groups of a partition
};

class OwnDatapath : public ::testing::TestWithParam<Fault> {
 protected:
  void SetUp() override {
    if (const std::string why = Sites::EnterOwnNamespace(); !why.empty()) GTEST_SKIP() << why;
    for (const char* feature : {"btf", "tc"}) {
      const Status has = bpf::RequireFeature(feature);
      if (!has.ok()) GTEST_SKIP() << ToString(has.message());
    }
    sites_ = std::make_unique<Sites>(Sites::Options{.nodes = kNodes, .lease = "2s"});
    ASSERT_FALSE(HasFailure()) << "the sites could not be made";
    net_ = std::make_unique<NetPair>();
    // On a machine that is busy, faults go on all the same.
    system_ = std::make_unique<AgentSystem>(*net_, "60s");
    for (int node = 1; node <= kNodes; ++node) {
      system_->AddToAgentConfig(
          fmt::format("- name: node{0}\n  labels: {{controller: n{0}}}\n  interface: up0\n"
                      "  netns: {1}\n",
                      node, sites_->netns(node)));
    }
    system_->AddToAgentConfig("heartbeat: 10s\n");
    const Status agent = system_->StartAgent();
    ASSERT_TRUE(agent.ok()) << agent;
    second_ = *client::Client::Create({.addresses = system_->address(), .timeout = kLong});
    load_ = std::make_unique<Load>(sites_->api_addresses(), sites_->tls());
    ASSERT_TRUE(load_->IsReady()) << sites_->Logs();
  }
  void TearDown() override {
    if (HasFailure() && sites_) std::cerr << sites_->Logs();
    if (HasFailure() && system_) std::cerr << system_->Logs();
  }

  // A client of one of the three.
  std::unique_ptr<client::Client> ClientOf(int node, std::chrono::milliseconds timeout) const {
    const auto& tls = sites_->tls();
    return *client::Client::Create({.addresses = sites_->api_address(node),
                                    .ca_file = tls.ca_file,
                                    .cert_file = tls.cert_file,
                                    .key_file = tls.key_file,
                                    .timeout = timeout});
  }
  // By what that node knows; 0 when it knows of none that a majority follows.
  int LeaderSeenBy(int node) const {
    const auto cluster = ClientOf(node, kShort)->GetCluster({});
    return cluster.ok() && cluster->has_quorum() ? static_cast<int>(cluster->leader_id()) : 0;
  }
  // A read that must show all that was acknowledged.
  bool Answers(int node) const { return ClientOf(node, kShort)->ListExperiments({}).ok(); }

  // Of the second Faultline, on the link of one of the three.
  std::string Start(int node) {
    chaos::v1::StartExperimentRequest request;
    request.set_target(fmt::format("controller:n{}", node));
    request.set_fault_type(GetParam().kind);
    auto& parameters = *request.mutable_parameters();
    parameters.insert(GetParam().parameters.begin(), GetParam().parameters.end());
    // It leaves alone what goes to controllers' ports otherwise.
    parameters["include_protected"] = "true";
    if (request.fault_type() == "NETWORK_PARTITION") {
      parameters["groups"] =
          fmt::format("{},{}+{}", sites_->address(node), sites_->address(node % kNodes + 1),
                      sites_->address((node + 1) % kNodes + 1));
    }
    request.mutable_duration()->set_seconds(300);
    StatusOr<chaos::v1::StartExperimentResponse> started;
    // An agent that is just opening another stream, as on a busy machine, takes no fault.
    EXPECT_TRUE(Eventually([&] { return (started = second_->StartExperiment(request)).ok(); }))
        << started.status();
    return started.ok() ? started->experiment_id() : "";
  }
  chaos::v1::TargetPhase PhaseOf(const std::string& id) {
    chaos::v1::GetExperimentRequest request;
    request.set_experiment_id(id);
    const auto got = second_->GetExperiment(request);
    if (!got.ok() || got->experiment().targets().empty()) return chaos::v1::TargetPhase();
    return got->experiment().targets(0).phase();
  }
  void Stop(const std::string& id) {
    chaos::v1::StopExperimentRequest request;
    request.set_experiment_id(id);
    request.mutable_wait()->set_seconds(20);
    const auto stopped = second_->StopExperiment(request);
    ASSERT_TRUE(stopped.ok()) << stopped.status();
    EXPECT_EQ(stopped->experiments(0).targets(0).phase(), chaos::v1::TARGET_PHASE_REVERTED);
  }

  void CutOff(int node) {
    SCOPED_TRACE(fmt::format("node {}", node));
    const int other = node % kNodes + 1;
    const std::string id = Start(node);
    ASSERT_TRUE(Eventually([&] { return PhaseOf(id) == chaos::v1::TARGET_PHASE_ACTIVE; }));
    EXPECT_FALSE(Answers(node)) << "it cannot know what the others do meanwhile";
    EXPECT_TRUE(Eventually([&] {
      const int leader = LeaderSeenBy(other);
      return leader != 0 && leader != node && Answers(other);
    })) << "the others do not go on";
    EXPECT_TRUE(Eventually([&] {
      const auto counters = system_->Counters();
      return counters.ok() && counters->dropped() > 0;
    })) << "nothing was lost";
    EXPECT_EQ(PhaseOf(id), chaos::v1::TARGET_PHASE_ACTIVE);
    ASSERT_NO_FATAL_FAILURE(Stop(id));
    EXPECT_TRUE(Eventually([&] { return Answers(node); })) << "it does not catch up";
  }

  static constexpr std::chrono::seconds kShort{3}, kLong{30};
  std::unique_ptr<Sites> sites_;
  std::unique_ptr<NetPair> net_;
  std::unique_ptr<AgentSystem> system_;
  std::unique_ptr<client::Client> second_;
  std::unique_ptr<Load> load_;
};

TEST_P(OwnDatapath, CutsANodeOffAndTheHistoryHolds) {
  load_->While([&] {
    for (int round = 0; round < 2; ++round) {
      int leader = 0;
      ASSERT_TRUE(Eventually([&] { return (leader = LeaderSeenBy(1)) != 0; }));
      const int follower = leader % kNodes + 1;
      ASSERT_NO_FATAL_FAILURE(CutOff(GetParam().of_leader ? leader : follower));
      load_->Sleep(100, 400);
    }
  });
  if (HasFatalFailure()) return;
  load_->Judge({0, 1, 2});
}

INSTANTIATE_TEST_SUITE_P(
    By, OwnDatapath,
    ::testing::Values(Fault{"APartition", true, "NETWORK_PARTITION", {}},
                      Fault{"APartitionOneWay", true, "NETWORK_PARTITION", {{"ways", "forward"}}},
                      Fault{"ABlackhole", false, "NETWORK_BLACKHOLE", {{"direction", "both"}}}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace faultline::e2e
