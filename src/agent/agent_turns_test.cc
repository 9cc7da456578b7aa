// An agent that has much to do at once, on a host that takes its time.
#include <unistd.h>

#include <array>
#include <map>

#include "agent/agent_fixture.h"
#include "agent/heartbeat.h"

namespace faultline::agent {
namespace {

using Ids = std::vector<std::string>;

// "e0000" and so on: in the order in which they are armed.
Ids Experiments(int count) {
  Ids ids;
  for (int i = 0; i < count; ++i) ids.push_back(fmt::format("e{:04}", i));
  return ids;
}

class AgentTurnsTest : public AgentTest {
 protected:
  // An agent with a lease that needs no renewal.
  void StartAt(TestNode& node) {
    node.GrantLeases(3'600, Version(1));
    Start({node.address()});
    node.Hear([](const auto& heard) { return heard.has_renewal(); });
  }
};

TEST_F(AgentTurnsTest, AStopIsActedUponBeforeTheRestOfManyFaultsIsArmed) {
  // A minute for all of them, and more on a slow machine.
  host_.before_arm = [] { usleep(60'000); };
  TestNode node(1);
  StartAt(node);
  Ids ids = Experiments(1'000);
  Desire(node, 2, ids);
  Report(node, "e0000", chaos::v1::TARGET_PHASE_ACTIVE);
  EXPECT_LT(host_.Armed().size(), 1'000u) << "it is told while others are still being armed";
  ids.pop_back();
  ids.erase(ids.begin());
  Desire(node, 3, ids);
  const auto heard =
      node.Hear([](const auto& any) { return any.reports().version().revision() == 3; });
  std::map<std::string, chaos::v1::FaultReport> reports;
  for (const auto& report : heard.reports().reports()) reports[report.experiment_id()] = report;
  EXPECT_EQ(reports["e0000"].phase(), chaos::v1::TARGET_PHASE_REVERTED);
  EXPECT_EQ(reports["e0000"].reason(), "stopped");
  EXPECT_EQ(reports["e0999"].phase(), chaos::v1::TARGET_PHASE_REVERTED);
  EXPECT_EQ(reports["e0999"].reason(), "stopped before it was armed");
  EXPECT_FALSE(host_.Armed().contains({"e0000", 0, "host-1/a"}));
  EXPECT_EQ(reports.count("e0998"), 0u) << "its turn has not come yet";
}

TEST_F(AgentTurnsTest, AllOfManyFaultsAreArmedInTheEnd) {
  host_.before_arm = [] { usleep(60'000); };
  TestNode node(1);
  StartAt(node);
  Desire(node, 2, Experiments(8));
  Report(node, "e0007", chaos::v1::TARGET_PHASE_ACTIVE);
  EXPECT_EQ(host_.Armed().size(), 8u);
}

TEST_F(AgentTurnsTest, EachOfManyRevertsIsASignOfLife) {
  constexpr int kFaults = 100;
  config_.heartbeat_ns = kNanosPerSecond / 5;
  std::atomic<uint64_t> begun_ns{0}, until_ns{0};
  // Two seconds in one go: longer than a strand may be silent, by the length of four heartbeats.
  host_.before_disarm = [&] {
    if (begun_ns == 0) begun_ns = BoottimeNowNs();
    usleep(20'000);
    until_ns = host_.page->heartbeat_until_ns.load();
  };
  TestNode node(1);
  StartAt(node);
  Desire(node, 2, Experiments(kFaults));
  Report(node, "e0099", chaos::v1::TARGET_PHASE_ACTIVE);
  Desire(node, 3, {});
  Report(node, "e0099", chaos::v1::TARGET_PHASE_REVERTED);
  EXPECT_GT(until_ns.load(), begun_ns + Heartbeat::kStrandPatienceNs + config_.heartbeat_ns)
      << "as far as one sign of life before them all reaches";
  agent_.reset();
}

TEST_F(AgentTurnsTest, TargetsThatThereWasNoTimeForAreLookedAtAgainAtOnce) {
  constexpr size_t kLooks = 6;
  std::atomic<size_t> looks{0};
  std::array<int, kLooks> readings{};  // before each look
  host_.look = [&](size_t targets) {
    std::vector<Status> statuses(targets);
    if (looks == kLooks) return statuses;
    readings[looks] = host_.readings;
    if (++looks < kLooks) {
      statuses[0] = MakeDetailedError(StatusCode::kUnavailable, faults::kUnderWay, "not yet");
    }
    return statuses;
  };
  Start({"127.0.0.1:1"});
  while (looks < kLooks) usleep(1'000);
  // There is one look for many measurements else.
  for (size_t i = 1; i < kLooks; ++i) EXPECT_LE(readings[i] - readings[i - 1], 1) << i;
  while (agent_->GetStatus().problems_size() > 0) usleep(1'000);
  agent_.reset();
}

}  // namespace
}  // namespace faultline::agent
