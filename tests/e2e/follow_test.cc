// A service that is started anew under a running experiment: agent, controller and command line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <nlohmann/json.hpp>

#include "agent/local_service.h"
#include "e2e/agent_system.h"
#include "e2e/cli_support.h"

namespace faultline::e2e {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr double kDelayMs = 100;

class Follow : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = WhyNotHere(); !why.empty()) GTEST_SKIP() << why;
    net_ = std::make_unique<NetPair>();
    system_ = std::make_unique<AgentSystem>(*net_);
    system_->AddToAgentConfig("- name: later\n  interface: svc7\n  netns: " + net_->service() +
                              "\n");
    const Status agent = system_->StartAgent();
    ASSERT_TRUE(agent.ok()) << agent;
  }
  CliResult Run(const std::vector<std::string>& arguments) const {
    return Faultline(system_->address(), arguments);
  }
  bool IsSlow() const {
    const UdpStream stream(*net_, 500);
    return stream.AwaitSlow(static_cast<uint64_t>(kDelayMs) - 10);
  }
  bool IsFast() const {
    const UdpStream stream(*net_, 500);
    return stream.AwaitFast(20);
  }
  json Pair(const std::string& id) const {
    const json answer = json::parse(Run({"get", id, "--json"}).out);
    const json& experiment = answer.contains("experiment") ? answer["experiment"] : answer;
    return experiment["targets"][0];
  }
  // What `ip`, `tc` and `bpftool` show of Faultline in the service's namespace.
  std::string Traces() const {
    const std::string in = "ip netns exec " + net_->service() + " ";
    return Shell(in + "ip -o link | grep -o 'fl-[a-z0-9]*'; " + in + "tc qdisc | grep clsact; " +
                 in + "bpftool net show 2>/dev/null | grep fl_");
  }

  std::unique_ptr<NetPair> net_;
  std::unique_ptr<AgentSystem> system_;
};

TEST_F(Follow, AServiceThatIsStartedAnewIsSlowAgainUntilTheExperimentIsStopped) {
  const auto status = agent::AskStatus(system_->agent_socket());
  ASSERT_TRUE(status.ok()) << status.status();
  ASSERT_EQ(status->problems_size(), 1);
  EXPECT_THAT(status->problems(0), HasSubstr("e2e/later: interface 'svc7': there is none of that "
                                             "name in netns '" +
                                             net_->service() + "', which has"));
  const auto started = Run({"start", "NETWORK_LATENCY", "--target", "target:e2e/checkout",
                            "--delay-ms", "100", "--duration", "600s", "--wait", "--json"});
  ASSERT_EQ(started.exit_code, 0) << started.err << system_->Logs();
  const std::string id = json::parse(started.out)["experiment_id"];
  EXPECT_TRUE(IsSlow());

  // At once, as when a container is only restarted.
  net_->RemoveService();
  net_->MakeService();
  EXPECT_TRUE(IsSlow()) << system_->Logs();

  // And after longer than any attempt to arm would be repeated.
  net_->RemoveService();
  while (Pair(id)["phase"] != "TARGET_PHASE_PENDING") usleep(50'000);
  EXPECT_THAT(Pair(id)["reason"].get<std::string>(), HasSubstr("netns '" + net_->service() + "'"));
  usleep(5'000'000);
  EXPECT_EQ(Pair(id)["phase"], "TARGET_PHASE_PENDING");
  EXPECT_THAT(Run({"get", id}).out, HasSubstr("cannot be opened"));
  net_->MakeService();
  EXPECT_TRUE(IsSlow()) << system_->Logs();

  EXPECT_EQ(Run({"stop", id, "--wait"}).exit_code, 0) << system_->Logs();
  EXPECT_TRUE(IsFast());
  const auto printed = Run({"report", id, "--json", "--wait", "60s"});
  ASSERT_EQ(printed.exit_code, 0) << printed.err << system_->Logs();
  const json report = json::parse(printed.out);
  std::vector<std::string> course, reasons;
  for (const auto& event : report["events"]) {
    if (event["what"] != "pending" && event["what"] != "active") continue;
    course.push_back(event["what"]);
    if (event["what"] == "pending") reasons.push_back(event["detail"]);
  }
  EXPECT_THAT(course, testing::ElementsAre("active", "pending", "active", "pending", "active"))
      << printed.out;
  EXPECT_THAT(reasons, testing::Each(HasSubstr("netns '" + net_->service() + "'")));

  system_->agent().Signal(SIGTERM);
  EXPECT_EQ(system_->agent().Wait(), 0);
  EXPECT_EQ(Traces(), "");
}

}  // namespace
}  // namespace faultline::e2e
