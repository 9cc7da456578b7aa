// One agent process, one test node as its controller, one service under traffic.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <optional>

#include "agent/local_service.h"
#include "agent/test_node.h"
#include "e2e/agent_support.h"
#include "network/v1/parameters.pb.h"

namespace faultline::e2e {

class AgentFixture : public testing::Test {
 protected:
  static constexpr uint64_t kDelayMs = 100;
  // Longer than AwaitFast waits: what heals is not the end of the lease.
  static constexpr int64_t kLeaseS = 60;
  static constexpr std::chrono::minutes kCleaned{1};

  void SetUp() override {
    if (const std::string why = WhyNotHere(); !why.empty()) GTEST_SKIP() << why;
    net_ = std::make_unique<NetPair>();
    node_ = std::make_unique<agent::TestNode>(1);
    Grant(kLeaseS, 1);
    config_ = WriteAgentConfig(folder_.path(), *net_, {node_->address()});
    stream_ = std::make_unique<UdpStream>(*net_, 1'000);
  }
  void TearDown() override {
    agent_.reset();
    if (!net_) return;
    // Nothing of ours is left in the service's namespace, once the guardian has done its work.
    const std::string links = "ip -n " + net_->service() + " -o link";
    EXPECT_TRUE(
        Eventually([&] { return Shell(links + " | grep -vcE ': (lo|svc0)'") == "0"; }, kCleaned))
        << Shell(links);
  }

  std::string program() const { return FAULTLINE_BIN_DIR "/faultline-agent"; }
  std::string log_path() const { return folder_.path() + "/agent.log"; }
  std::string socket_path() const { return folder_.path() + "/run/agent.sock"; }

  // Starts an agent and waits until the node knows this start of it and it asks for a lease.
  void StartAgent() {
    auto command = wrapper_;
    for (const std::string& word :
         {program(), std::string("--config"), config_, std::string("run")}) {
      command.push_back(word);
    }
    agent_ = std::make_unique<Process>(command, log_path());
    desired_.Clear();
    const uint64_t before = incarnation_;
    node_->Hear([&](const auto& heard) {
      incarnation_ = heard.has_hello() ? heard.hello().agent().incarnation() : before;
      return incarnation_ != before;
    });
    node_->Hear([](const auto& heard) { return heard.has_renewal(); });
  }
  void Grant(int64_t lease_s, uint64_t revision) {
    chaos::v1::StateVersion version;
    version.set_cluster_id("e2e");
    version.set_term(1);
    version.set_revision(revision);
    node_->GrantLeases(lease_s, version);
  }
  // Wants the experiments' delay on the service's egress, from now for `seconds`.
  void Desire(uint64_t revision, const std::vector<std::string>& experiments,
              int64_t seconds = 600) {
    chaos::v1::ConnectResponse response;
    auto* version = response.mutable_desired()->mutable_version();
    version->set_cluster_id("e2e");
    version->set_term(1);
    version->set_revision(revision);
    network::v1::NetworkLatency latency;
    latency.set_delay_ms(kDelayMs);
    latency.set_distribution(network::v1::DISTRIBUTION_UNIFORM);
    latency.mutable_filter()->set_direction(network::v1::DIRECTION_EGRESS);
    latency.mutable_filter()->set_protocol(network::v1::PROTOCOL_ANY);
    for (const std::string& experiment : experiments) {
      auto* fault = response.mutable_desired()->add_faults();
      fault->set_experiment_id(experiment);
      fault->set_target_id(target_id_);
      fault->set_kind("NETWORK_LATENCY");
      fault->mutable_config()->PackFrom(latency);
      fault->mutable_remaining()->set_seconds(seconds);
    }
    desired_ = response;
    node_->Say(response);
  }
  // The next report that says this phase of the experiment; result: its reason. An agent that has
  // left the node meanwhile, as on a busy machine, and comes back is told again what is desired, as
  // by any node.
  std::string AwaitPhase(const std::string& experiment, chaos::v1::TargetPhase phase) {
    std::optional<std::string> reason;
    while (!reason) {
      node_->Hear([&](const auto& heard) {
        for (const auto& report : heard.reports().reports()) {
          if (report.experiment_id() != experiment || report.phase() != phase) continue;
          reason = report.reason();
        }
        return reason || heard.has_hello();
      });
      if (!reason && desired_.has_desired()) node_->Say(desired_);
    }
    return *reason;
  }
  // An agent whose service is slowed down by experiment e1.
  void StartSlowed() {
    StartAgent();
    Desire(2, {"e1"});
    AwaitPhase("e1", chaos::v1::TARGET_PHASE_ACTIVE);
    ASSERT_TRUE(stream_->AwaitSlow(kDelayMs - 10)) << Shell("cat " + log_path());
  }
  pid_t GuardianPid() {
    const auto status = agent::AskStatus(socket_path());
    EXPECT_TRUE(status.ok()) << status.status();
    return status.ok() ? static_cast<pid_t>(status->guardian_pid()) : -1;
  }
  // A process that has ended counts as gone although nobody has waited for it yet.
  static bool Exists(pid_t pid) {
    const std::string state = Shell("ps -o state= -p " + std::to_string(pid));
    return !state.empty() && state.front() != 'Z';
  }

  TempFolder folder_;
  std::unique_ptr<NetPair> net_;
  std::unique_ptr<agent::TestNode> node_;
  std::string config_;
  std::vector<std::string> wrapper_;        // what the agent's command is started by
  std::string target_id_ = "e2e/checkout";  // what Desire wants slowed
  chaos::v1::ConnectResponse desired_;      // as the agent was told it last; empty: not yet
  uint64_t incarnation_ = 0;                // the agent's
  std::unique_ptr<UdpStream> stream_;
  std::unique_ptr<Process> agent_;
};

}  // namespace faultline::e2e
