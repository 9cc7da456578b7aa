// The life of an experiment as it can be read from the logs of three controllers and an agent.
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <sstream>

#include "agent/local_service.h"
#include "chaos/v1/chaos.grpc.pb.h"
#include "e2e/agent_support.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/json_log.h"

namespace faultline::e2e {
namespace {

using cluster::Eventually;
using cluster::FieldOf;
using cluster::LogLines;
using cluster::Saying;

constexpr char kTarget[] = "e2e/checkout";

class LogTest : public testing::Test {
 protected:
  static constexpr int kNodes = 3;

  void SetUp() override {
    if (const std::string why = WhyNotHere(); !why.empty()) GTEST_SKIP() << why;
  }
  void Begin(const std::string& lease) {
    cluster::Cluster::Options options;
    options.nodes = kNodes;
    options.lease = lease;
    for (int node = 0; node < kNodes; ++node) {
      options.flags[node] = {"--log-format", "json", "--log-level", "debug"};
    }
    cluster_ = std::make_unique<cluster::Cluster>(options);
    net_ = std::make_unique<NetPair>();
    WriteAgentConfig(folder_.path(), *net_, cluster_->api_addresses());
    StartAgent();
  }
  void StartAgent() {
    agent_ = std::make_unique<Process>(
        std::vector<std::string>{FAULTLINE_BIN_DIR "/faultline-agent", "--config",
                                 folder_.path() + "/agent.yaml", "--log-format", "json", "run"},
        folder_.path() + "/agent.log");
  }

  LogLines OfNode(int node) const { return cluster::ReadLog(cluster_->process(node).log()); }
  LogLines OfControllers() const {
    LogLines all;
    for (int node = 0; node < kNodes; ++node) {
      const LogLines lines = OfNode(node);
      all.insert(all.end(), lines.begin(), lines.end());
    }
    return all;
  }
  // When it grows, there has been a change of leader.
  size_t Elections() const {
    return Saying(OfControllers(), "info", "is now leader of term ").size();
  }
  // Lines of controllers with that text, at info. Only around a change of leader there may be none
  // but at debug.
  LogLines Told(const std::string& text, size_t elections_before) const {
    LogLines found;
    EXPECT_TRUE(Eventually([&] {
      found = Saying(OfControllers(), "info", text);
      const bool changed = Elections() != elections_before;
      if (found.empty() && changed) found = Saying(OfControllers(), "debug", text);
      return !found.empty();
    })) << text;
    return found;
  }
  // The guardian's lines among them.
  LogLines OfAgent() const {
    std::ostringstream text;
    text << std::ifstream(folder_.path() + "/agent.log").rdbuf();
    return cluster::ReadLog(text.str());
  }

  // Starts a delay on the service by a node, and waits until it is armed; its id.
  std::string StartDelay(int node, const std::string& request_id, int64_t seconds) {
    auto request = cluster::LatencyOn("service:checkout", request_id);
    request.mutable_duration()->set_seconds(seconds);
    std::string id;
    EXPECT_TRUE(Eventually([&] {
      const auto started = cluster_->StartExperiment(node, request);
      if (started.ok()) id = started->experiment_id();
      return started.ok();
    }));
    ExpectFromAgent("info", id, "NETWORK_LATENCY armed");
    return id;
  }
  // Waits for a line of the agent's about the fault of an experiment; the last one counts.
  void ExpectFromAgent(const std::string& level, const std::string& id, const std::string& what) {
    const std::string text = "experiment " + id + " fault 0 on " + kTarget + ": " + what;
    LogLines found;
    ASSERT_TRUE(Eventually([&] {
      found = Saying(OfAgent(), level, text);
      return !found.empty();
    })) << text;
    EXPECT_EQ(FieldOf(found.back(), "experiment_id"), id) << found.back();
    EXPECT_EQ(FieldOf(found.back(), "target_id"), kTarget) << found.back();
  }
  pid_t GuardianPid() const {
    const auto status = agent::AskStatus(folder_.path() + "/run/agent.sock");
    return status.ok() ? static_cast<pid_t>(status->guardian_pid()) : -1;
  }

  const TempFolder folder_;
  std::unique_ptr<cluster::Cluster> cluster_;
  std::unique_ptr<NetPair> net_;
  std::unique_ptr<Process> agent_;
};

TEST_F(LogTest, TellsTheLifeOfAnExperimentOnceWithItsIds) {
  Begin("60s");  // none is lost, however busy the machine is
  const size_t elections = Elections();
  const int leader = cluster_->WaitForLeader();
  const int asked = cluster_->Follower();
  const std::string id = StartDelay(asked, "life-1", 600);
  ASSERT_TRUE(cluster_->WaitForPhase(asked, id, chaos::v1::TARGET_PHASE_ACTIVE));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + cluster::kPatience);
  chaos::v1::StopExperimentRequest stop;
  stop.set_experiment_id(id);
  stop.set_reason("maintenance is over");
  stop.mutable_wait()->set_seconds(20);
  chaos::v1::StopExperimentResponse stopped;
  ASSERT_TRUE(cluster_->Stub(asked)->StopExperiment(&context, stop, &stopped).ok());
  ExpectFromAgent("info", id, "reverted: stopped");
  const std::string experiment = "experiment " + id;
  const struct {
    int node;
    std::string text;
  } lines[] = {
      {asked, experiment + " is accepted: NETWORK_LATENCY on service:checkout for 600 s, by local"},
      {leader, experiment + " is active"},
      {asked, experiment + " is to stop, asked for by local: maintenance is over"},
      {leader, experiment + " has ended: completed (stopped): maintenance is over"},
  };
  for (const auto& [node, text] : lines) {
    const LogLines found = Told(text, elections);
    for (const auto& line : found) {
      EXPECT_EQ(FieldOf(line, "experiment_id"), id);
      EXPECT_EQ(FieldOf(line, "request_id"), "life-1");
    }
    if (Elections() != elections) continue;  // it may be there twice, by whoever led
    EXPECT_EQ(found.size(), 1u) << text;
    EXPECT_EQ(Saying(OfNode(node), "info", text).size(), 1u) << text;
  }
  // The others say what the leader says, for those who want to know.
  EXPECT_TRUE(Eventually([&] {
    const std::string text = experiment + " has ended";
    const LogLines all = OfControllers();
    return Saying(all, "info", text).size() + Saying(all, "debug", text).size() == kNodes;
  }));
  EXPECT_EQ(Saying(OfAgent(), "info", "NETWORK_LATENCY armed").size(), 1u);
}

TEST_F(LogTest, TellsWhetherTimeTheLeaseOrTheGuardianEndedAFault) {
  Begin("20s");
  // A control plane that stands still: else it is faster. It does so before the time is up, and the
  // lease, of which three quarters are left at any time, lasts longer.
  const std::string brief = StartDelay(0, "brief", 8);
  for (int node = 0; node < kNodes; ++node) cluster_->process(node).Signal(SIGSTOP);
  ExpectFromAgent("info", brief, "reverted: its time is up");
  for (int node = 0; node < kNodes; ++node) cluster_->process(node).Signal(SIGCONT);
  const std::string id = StartDelay(0, "long", 600);
  // One that was started later tells it, too, and in the same format.
  const pid_t first = GuardianPid();
  ASSERT_GT(first, 0);
  kill(first, SIGKILL);
  ASSERT_TRUE(Eventually([&] {
    const pid_t now = GuardianPid();
    return now > 0 && now != first;
  }));
  agent_->Signal(SIGKILL);
  agent_->Wait();
  ExpectFromAgent("warning", id, "ended by the guardian: the agent is gone");
  StartAgent();
  ASSERT_TRUE(Eventually([&] {
    return Saying(OfAgent(), "info", id + " fault 0 on " + kTarget + ": NETWORK_LATENCY armed")
               .size() >= 2;
  }));
  for (int node = 0; node < kNodes; ++node) cluster_->process(node).Kill();
  ExpectFromAgent("info", id, "disarmed for now: lease ran out");
  EXPECT_TRUE(
      Eventually([&] { return !Saying(OfAgent(), "warning", "the lease has run out").empty(); }));
}

}  // namespace
}  // namespace faultline::e2e
