#include "agent/agent.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <future>

#include "agent/agent_fixture.h"
#include "agent/local_service.h"
#include "agent/metrics_buffer.h"
#include "http/exposition.h"

namespace faultline::agent {
namespace {

using testing::HasSubstr;

std::string Metrics(Agent& agent) {
  std::promise<std::string> collected;
  agent.Collect(
      [&](http::Families families) { collected.set_value(http::ToText(families.Take())); });
  return collected.get_future().get();
}

TEST_F(AgentTest, IntroducesItselfWithTargetsAndCapabilities) {
  TestNode node(1);
  Start({node.address()});
  const auto agent = node.Hear().hello().agent();
  EXPECT_EQ(agent.agent_id(), "host-1");
  EXPECT_NE(agent.incarnation(), 0u);
  EXPECT_EQ(agent.targets(0).target_id(), "host-1/a");
  EXPECT_EQ(agent.capabilities(0).name(), "tc");
}

TEST_F(AgentTest, ArmsUnderALeaseReportsItAndRevertsWhenItIsNoLongerDesired) {
  TestNode node(1);
  node.GrantLeases(60, Version(1));
  Start({node.address()});
  node.Hear([](const auto& heard) { return heard.has_renewal(); });
  Desire(node, 2, {"e1"});
  Report(node, "e1", chaos::v1::TARGET_PHASE_ACTIVE);
  EXPECT_EQ(host_.Armed().size(), 1u);
  EXPECT_GT(host_.page->control_until_ns, BoottimeNowNs());
  EXPECT_GT(host_.page->heartbeat_until_ns, BoottimeNowNs());
  Desire(node, 3, {});
  EXPECT_EQ(Report(node, "e1", chaos::v1::TARGET_PHASE_REVERTED).reason(), "stopped");
  EXPECT_TRUE(host_.Armed().empty());
}

TEST_F(AgentTest, ArmsNothingWithoutALeaseAndDisarmsWhenItRunsOut) {
  TestNode node(1);
  Start({node.address()});
  node.Hear([](const auto& heard) { return heard.has_renewal(); });
  Desire(node, 2, {"e1"});
  EXPECT_EQ(node.Hear([](const auto& heard) { return heard.reports().version().revision() == 2; })
                .reports()
                .reports_size(),
            0);
  EXPECT_TRUE(host_.Armed().empty());
  node.GrantLeases(3, Version(2));
  Report(node, "e1", chaos::v1::TARGET_PHASE_ACTIVE);
  node.GrantLeases(0, Version(2));
  while (!host_.Armed().empty()) usleep(1'000);
  EXPECT_LE(host_.page->control_until_ns, BoottimeNowNs());
}

TEST_F(AgentTest, RefusesAnOlderDesiredStateFromANodeThatLags) {
  TestNode first(1), lagging(2, false);
  first.GrantLeases(60, Version(5));
  lagging.GrantLeases(60, Version(4));
  Start({first.address(), lagging.address()});
  first.Hear([](const auto& heard) { return heard.has_renewal(); });
  Desire(first, 6, {"e2"});
  Report(first, "e2", chaos::v1::TARGET_PHASE_ACTIVE);
  lagging.BeginToWelcome();
  first.Kill();
  lagging.Hear([](const auto& heard) { return heard.has_renewal(); });
  Desire(lagging, 4, {"e1", "e2"});
  Desire(lagging, 7, {"e2", "e3"});
  Report(lagging, "e3", chaos::v1::TARGET_PHASE_ACTIVE);
  for (const auto& key : host_.Armed()) EXPECT_NE(key.experiment_id, "e1");
}

TEST_F(AgentTest, MetricsHaveNoHoleAcrossAFailOver) {
  TestNode first(1), second(2, false);
  Start({first.address(), second.address()});
  const auto sequence_of = [](TestNode& node) {
    const auto heard = node.Hear([](const auto& any) { return any.has_metrics(); });
    return heard.metrics().position().sequence();
  };
  uint64_t last = 0, resumed = 0;
  while (last < 3) last = sequence_of(first);
  second.BeginToWelcome();
  first.Kill();
  // The newest batch when the second node was tried, at the most a second before it welcomed.
  chaos::v1::AgentHello hello;
  chaos::v1::AgentBaselines given;
  while (resumed == 0) {
    const auto heard = second.Hear();
    if (heard.has_hello()) hello = heard.hello();
    if (heard.has_baselines()) given = heard.baselines();
    resumed = heard.metrics().position().sequence();
  }
  const uint64_t newest = hello.metrics_sequence();
  EXPECT_EQ(hello.last_node_id(), 1u);
  EXPECT_EQ(given.targets_size(), 1) << "what it measured on its target, before any batch";
  EXPECT_GE(given.metrics_sequence(), newest);
  // However long it took: what the agent no longer keeps is a hole, and nothing else is.
  const uint64_t kept = (MetricsBuffer::kKeptSeconds - 1) * config_.metrics_rate_hz;
  EXPECT_LE(resumed, std::max(last, newest - std::min(newest, kept)) + 1);
  for (uint64_t expected = resumed + 1; expected < resumed + 5; ++expected) {
    EXPECT_EQ(sequence_of(second), expected);
  }
}

TEST_F(AgentTest, HaltDisarmsAtOnceAndHoldsOverARestart) {
  TestNode node(1);
  node.GrantLeases(60, Version(1));
  Start({node.address()});
  node.Hear([](const auto& heard) { return heard.has_renewal(); });
  Desire(node, 2, {"e1"});
  Report(node, "e1", chaos::v1::TARGET_PHASE_ACTIVE);
  EXPECT_EQ(agent_->Halt().disarmed(), 1u);
  EXPECT_TRUE(host_.Armed().empty());
  EXPECT_EQ(Report(node, "e1", chaos::v1::TARGET_PHASE_REVERTED).reason(), "halted locally");
  Start({node.address()});
  EXPECT_TRUE(agent_->GetStatus().halted());
  node.Hear([](const auto& heard) { return heard.has_hello(); });
  node.Hear([](const auto& heard) { return heard.has_renewal(); });
  Desire(node, 3, {"e2"});
  EXPECT_EQ(Report(node, "e2", chaos::v1::TARGET_PHASE_REFUSED).reason(), "halted locally");
  agent_->Resume();
  Desire(node, 4, {"e3"});
  Report(node, "e3", chaos::v1::TARGET_PHASE_ACTIVE);
}

TEST_F(AgentTest, EndingRevertsTellsTheControlPlaneAndEndsTheHeartbeat) {
  TestNode node(1);
  node.GrantLeases(60, Version(1));
  Start({node.address()});
  node.Hear([](const auto& heard) { return heard.has_renewal(); });
  Desire(node, 2, {"e1"});
  Report(node, "e1", chaos::v1::TARGET_PHASE_ACTIVE);
  agent_.reset();
  EXPECT_TRUE(host_.Armed().empty());
  EXPECT_EQ(host_.page->heartbeat_until_ns, 0u);
  EXPECT_EQ(Report(node, "e1", chaos::v1::TARGET_PHASE_REVERTED).reason(), "the agent was stopped");
}

TEST_F(AgentTest, TellsWhatMayKeepPacketsFromFaultsAndIsReadyAllTheSame) {
  host_.warnings = {"host-1/a: other people's filters stand before Faultline's"};
  TestNode node(1);
  node.GrantLeases(60, Version(1));
  Start({node.address()});
  const auto reasons = [this] {
    std::promise<std::vector<std::string>> told;
    agent_->Readiness([&](std::vector<std::string> now) { told.set_value(std::move(now)); });
    return told.get_future().get();
  };
  while (!reasons().empty()) usleep(1'000);
  const auto status = agent_->GetStatus();
  EXPECT_EQ(status.problems_size(), 0);
  ASSERT_EQ(status.warnings_size(), 1);
  EXPECT_EQ(status.warnings(0), host_.warnings[0]);
  EXPECT_THAT(Metrics(*agent_), HasSubstr("\nfaultline_agent_target_warnings 1\n"));
}

TEST_F(AgentTest, ShowsNoCounterOfWhatCannotBeCounted) {
  for (const bool all : {true, false}) {
    agent_.reset();
    config_.targets[0].set_at_host_end(!all);
    host_.load.met_midway = all ? std::optional<uint64_t>(7) : std::nullopt;
    host_.readings = 0;
    Start({"127.0.0.1:1"});
    while (host_.readings == 0) usleep(1'000);
    const std::string text = Metrics(*agent_);
    EXPECT_THAT(text, HasSubstr("\nfaultline_target_resets_total{target=\"host-1/a\""));
    for (const char* name : {"faultline_agent_connections_met_midway_total 7",
                             "faultline_target_retransmits_total{"}) {
      EXPECT_EQ(text.find(fmt::format("\n{}", name)) != std::string::npos, all) << name;
    }
  }
}

TEST_F(AgentTest, AnswersOnItsLocalSocketWithoutAnyController) {
  Start({"127.0.0.1:1"});
  const std::string path = folder_ + "/run/agent.sock";
  auto service = LocalService::Serve(path, agent_.get());
  ASSERT_TRUE(service.ok()) << service.status();
  const auto permissions = [](const auto& of) { return std::filesystem::status(of).permissions(); };
  EXPECT_EQ(permissions(path), std::filesystem::perms(0600));
  EXPECT_EQ(permissions(folder_ + "/run"), std::filesystem::perms(0700));
  const auto status = AskStatus(path);
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->agent().agent_id(), "host-1");
  EXPECT_FALSE(status->agent().connected());
  EXPECT_EQ(status->guardian_pid(), guardian_->pid());
  EXPECT_FALSE(CheckSocketIsFree(path).ok());
  ASSERT_TRUE(AskHalt(path).ok());
  EXPECT_TRUE(AskStatus(path)->halted());
  ASSERT_TRUE(AskResume(path).ok());
  EXPECT_FALSE(AskStatus(path)->halted());
  service->reset();
  EXPECT_TRUE(CheckSocketIsFree(path).ok());
  EXPECT_EQ(AskStatus(path).status().code(), StatusCode::kUnavailable);
}

}  // namespace
}  // namespace faultline::agent
