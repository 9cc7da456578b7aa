// The agent with a real controller.
#include "e2e/agent_system.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "agent/local_service.h"

namespace faultline::e2e {
namespace {

class AgentSystemTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = WhyNotHere(); !why.empty()) GTEST_SKIP() << why;
    net_ = std::make_unique<NetPair>();
  }
  // A service that is slowed down under leases of that length.
  void Begin(const std::string& lease) {
    system_ = std::make_unique<AgentSystem>(*net_, lease);
    stream_ = std::make_unique<UdpStream>(*net_, 1'000);
    const Status agent = system_->StartAgent();
    ASSERT_TRUE(agent.ok()) << agent;
    const Status started = system_->StartExperiment("NETWORK_LATENCY", {{"delay_ms", "100"}});
    ASSERT_TRUE(started.ok()) << started;
    ASSERT_TRUE(stream_->AwaitSlow(90)) << system_->Logs();
  }

  std::unique_ptr<NetPair> net_;
  std::unique_ptr<AgentSystem> system_;
  std::unique_ptr<UdpStream> stream_;
};

TEST_F(AgentSystemTest, AKilledControllerEndsTheFaultWithItsLease) {
  ASSERT_NO_FATAL_FAILURE(Begin("5s"));
  system_->controller().Signal(SIGKILL);
  EXPECT_TRUE(stream_->AwaitFast(20)) << system_->Logs();
  const auto status = agent::AskStatus(system_->agent_socket());
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->lease_left().seconds(), 0);
}

TEST_F(AgentSystemTest, AKilledAgentHealsAndTheNextOneGoesOn) {
  // The lease ends nothing meanwhile, and the agent is not lost before it is back.
  ASSERT_NO_FATAL_FAILURE(Begin("60s"));
  system_->agent().Signal(SIGKILL);
  system_->agent().Wait();
  EXPECT_TRUE(stream_->AwaitFast(20)) << system_->Logs();
  const Status again = system_->StartAgent();
  ASSERT_TRUE(again.ok()) << again;
  EXPECT_TRUE(stream_->AwaitSlow(90)) << system_->Logs();
}

}  // namespace
}  // namespace faultline::e2e
