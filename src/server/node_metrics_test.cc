#include "server/node_metrics.h"

#include <gtest/gtest.h>

namespace faultline::server {
namespace {

constexpr int64_t kNowMs = 1'764'340'000'000;

void AddAgent(control::StateData* state, const std::string& id, bool connected,
              int64_t last_seen_ms, int targets) {
  auto& agent = state->agents[id];
  agent.set_agent_id(id);
  agent.set_connected(connected);
  *agent.mutable_last_seen() = control::ToTimestamp(last_seen_ms);
  for (int i = 0; i < targets; ++i) agent.add_targets();
}

TEST(CountAgents, TellsWhoWasLostLatelyFromWhoIsLongGone) {
  control::StateData state;
  // Who is connected was seen last when it came.
  AddAgent(&state, "here", true, kNowMs - 5 * kAgentGoneAfterMs, 2);
  AddAgent(&state, "new", true, kNowMs, 1);
  AddAgent(&state, "lost", false, kNowMs - kAgentGoneAfterMs + 1, 4);
  // By a clock that is ahead of this node's.
  AddAgent(&state, "lost-now", false, kNowMs + 1'000, 4);
  AddAgent(&state, "gone", false, kNowMs - kAgentGoneAfterMs, 4);
  const AgentCounts counts = CountAgents(state, kNowMs);
  EXPECT_EQ(counts.connected, 2u);
  EXPECT_EQ(counts.disconnected, 2u);
  EXPECT_EQ(counts.gone, 1u);
  EXPECT_EQ(counts.targets, 3u) << "of the connected ones";
}

TEST(WithAllRefusals, BeginsEachReasonAtZeroAndKeepsWhatWasCounted) {
  const auto refused = WithAllRefusals({{"OTHER_CLUSTER", 3}, {"FROM_LATER_ON", 1}});
  EXPECT_EQ(refused.size(), kRefusals.size() + 1);
  EXPECT_EQ(refused.at("OTHER_CLUSTER"), 3u);
  EXPECT_EQ(refused.at("FROM_LATER_ON"), 1u);
  EXPECT_EQ(refused.at("DUPLICATE_ID"), 0u);
  EXPECT_EQ(refused.at("PEER_CERTIFICATE"), 0u);
}

}  // namespace
}  // namespace faultline::server
