// Whatever happens to the agent or its control plane, the service heals.
#include <gmock/gmock.h>

#include "e2e/agent_fixture.h"

namespace faultline::e2e {
namespace {

using chaos::v1::TARGET_PHASE_ACTIVE;
using chaos::v1::TARGET_PHASE_PENDING;
using chaos::v1::TARGET_PHASE_REVERTED;

class AgentHeal : public AgentFixture {};

TEST_F(AgentHeal, WhatIsNoLongerDesiredIsGoneWhenItIsReported) {
  StartSlowed();
  Desire(3, {});
  EXPECT_EQ(AwaitPhase("e1", TARGET_PHASE_REVERTED), "stopped");
  EXPECT_TRUE(stream_->AwaitFast(20));
}

TEST_F(AgentHeal, AKilledAgentLeavesNothingBehind) {
  StartSlowed();
  const pid_t guardian = GuardianPid();
  agent_->Signal(SIGKILL);
  agent_->Wait();
  EXPECT_TRUE(stream_->AwaitFast(20));
  while (Exists(guardian)) usleep(1'000);
}

TEST_F(AgentHeal, ARestartedAgentArmsOnlyWhatTimeIsLeft) {
  StartSlowed();
  agent_->Signal(SIGKILL);
  agent_->Wait();
  ASSERT_TRUE(stream_->AwaitFast(20));
  StartAgent();
  Desire(3, {"e1"}, 8);
  AwaitPhase("e1", TARGET_PHASE_ACTIVE);
  EXPECT_TRUE(stream_->AwaitSlow(kDelayMs - 10));
  EXPECT_EQ(AwaitPhase("e1", TARGET_PHASE_REVERTED), "its time is up");
  EXPECT_TRUE(stream_->AwaitFast(20));
}

TEST_F(AgentHeal, AStoppedAgentsHeartbeatRunsOut) {
  StartSlowed();
  agent_->Signal(SIGSTOP);
  EXPECT_TRUE(stream_->AwaitFast(20));
  agent_->Signal(SIGCONT);
  EXPECT_TRUE(stream_->AwaitSlow(kDelayMs - 10)) << "it is still desired, and the lease held";
}

TEST_F(AgentHeal, WithoutAControllerTheLeaseRunsOut) {
  Grant(2, 1);
  StartSlowed();
  node_->Kill();
  EXPECT_TRUE(stream_->AwaitFast(20));
  EXPECT_TRUE(Eventually(
      [&] {
        const auto status = agent::AskStatus(socket_path());
        return status.ok() && status->faults_size() == 1 && !status->faults(0).armed() &&
               status->faults(0).reason() == "lease ran out";
      },
      std::chrono::minutes(1)));
}

TEST_F(AgentHeal, AnAgentThatIsToldToEndRevertsFirst) {
  StartSlowed();
  const pid_t guardian = GuardianPid();
  agent_->Signal(SIGTERM);
  EXPECT_EQ(AwaitPhase("e1", TARGET_PHASE_REVERTED), "the agent was stopped");
  EXPECT_EQ(agent_->Wait(), 0);
  EXPECT_TRUE(stream_->AwaitFast(20));
  EXPECT_FALSE(Exists(guardian));
  EXPECT_FALSE(std::filesystem::exists(socket_path()));
}

TEST_F(AgentHeal, ALaneThatSomebodyTakesAwayIsReplaced) {
  StartSlowed();
  for (const char* deed : {" link del ", " link set down "}) {
    const std::string lane =
        Shell("ip -n " + net_->service() + " -o link | grep -o 'fl-lane[0-9]*'");
    ASSERT_FALSE(lane.empty());
    Shell("ip -n " + net_->service() + deed + lane);
    sleep(1);
    EXPECT_TRUE(stream_->AwaitSlow(kDelayMs - 10)) << deed << Shell("cat " + log_path());
  }
}

TEST_F(AgentHeal, AFaultWhoseInterfaceGoesWaitsForItAndEndsWhenItIsStopped) {
  StartSlowed();
  Shell("ip -n " + net_->service() + " link del svc0");
  const std::string missing = "interface 'svc0': there is none of that name in netns '" +
                              net_->service() + "', which has lo";
  EXPECT_THAT(AwaitPhase("e1", TARGET_PHASE_PENDING), testing::StartsWith(missing));
  EXPECT_THAT(Shell(program() + " --config " + config_ + " status"), testing::HasSubstr(missing));
  Desire(3, {});
  EXPECT_EQ(AwaitPhase("e1", TARGET_PHASE_REVERTED), "stopped");
}

TEST_F(AgentHeal, AFaultWhoseNamespaceGoesIsBackWithIt) {
  StartSlowed();
  stream_.reset();
  net_->RemoveService();
  EXPECT_THAT(AwaitPhase("e1", TARGET_PHASE_PENDING), testing::HasSubstr("cannot be opened"));
  net_->MakeService();
  AwaitPhase("e1", TARGET_PHASE_ACTIVE);
  stream_ = std::make_unique<UdpStream>(*net_, 1'000);
  EXPECT_TRUE(stream_->AwaitSlow(kDelayMs - 10)) << Shell("cat " + log_path());
}

TEST_F(AgentHeal, AnAgentThatIsStartedWhileAServiceIsGoneArmsItWhenItIsBack) {
  StartSlowed();
  agent_->Signal(SIGKILL);
  agent_->Wait();
  stream_.reset();
  net_->RemoveService();
  StartAgent();
  EXPECT_THAT(Shell(program() + " --config " + config_ + " status"),
              testing::HasSubstr("problem: e2e/checkout: netns '" + net_->service() + "'"));
  Desire(3, {"e1"});
  EXPECT_THAT(AwaitPhase("e1", TARGET_PHASE_PENDING), testing::HasSubstr("cannot be opened"));
  net_->MakeService();
  AwaitPhase("e1", TARGET_PHASE_ACTIVE);
  // What begins on a target that is not there is refused.
  net_->RemoveService();
  Desire(4, {"e2"});
  EXPECT_THAT(AwaitPhase("e2", chaos::v1::TARGET_PHASE_REFUSED),
              testing::HasSubstr("cannot be opened"));
  net_->MakeService();  // for what TearDown looks at
}

TEST_F(AgentHeal, AKilledGuardianIsReplacedAndTheNewOneHeals) {
  StartSlowed();
  const pid_t first = GuardianPid();
  kill(first, SIGKILL);
  pid_t second = first;
  while (second == first) {
    usleep(20'000);
    second = GuardianPid();
  }
  agent_->Signal(SIGKILL);
  agent_->Wait();
  EXPECT_TRUE(stream_->AwaitFast(20));
  while (Exists(second)) usleep(1'000);
}

}  // namespace
}  // namespace faultline::e2e
