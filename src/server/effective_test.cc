#include "server/effective.h"

#include <gtest/gtest.h>

#include "control/test_support.h"
#include "faults/registry.h"

namespace faultline::server {
namespace {

using Parameters = std::map<std::string, std::string>;
using enum chaos::v1::TargetPhase;

class Effective : public testing::Test {
 protected:
  void SetUp() override { d_.Register("a", 1, {"x", "y"}); }

  // An experiment of one fault on a target; its id.
  std::string Begin(const std::string& kind, const Parameters& parameters, bool active = true,
                    const std::string& target = "x") {
    auto command = d_.CreateCommand("service:" + target, "");
    auto* fault = command.mutable_create_experiment()->mutable_faults(0);
    const auto config = faults::ParseParameters(kind, parameters);
    EXPECT_TRUE(config.ok()) << config.status();
    *fault->mutable_config() = *config;
    fault->mutable_fault()->set_kind(kind);
    fault->clear_occupies();
    const auto outcome = d_.Apply(command);
    EXPECT_FALSE(outcome.result.has_error());
    const std::string id = outcome.result.experiments(0).experiment_id();
    if (active) d_.Report("a", 1, id, "a/" + target, TARGET_PHASE_ACTIVE);
    return id;
  }
  std::vector<chaos::v1::EffectiveTarget> Of(const std::string& id) const {
    const auto effective = EffectiveOn(d_.state, *d_.state.Find(id));
    return {effective.begin(), effective.end()};
  }
  // "acts_on name value unit" of what the only target's faults come to.
  std::vector<std::string> CombinedOf(const std::string& id) const {
    std::vector<std::string> texts;
    const auto targets = Of(id);
    for (const auto& combined : targets.at(0).combined()) {
      texts.push_back(fmt::format("{} {} {} {}", combined.acts_on(), combined.name(),
                                  combined.value(), combined.unit()));
    }
    return texts;
  }

  control::testing::Driver d_;
};

TEST_F(Effective, RulesOfAllExperimentsComeInTheOrderInWhichTheyAct) {
  const auto delay = Begin("NETWORK_LATENCY", {{"delay_ms", "20"}});
  const auto more = Begin("NETWORK_LATENCY", {{"delay_ms", "5"}});
  const auto loss = Begin("NETWORK_LOSS", {{"loss_percent", "1"}}, /*active=*/false);
  const auto elsewhere = Begin("NETWORK_LOSS", {{"loss_percent", "2"}}, true, "y");
  const auto targets = Of(more);
  ASSERT_EQ(targets.size(), 1u);
  EXPECT_EQ(targets[0].target_id(), "a/x");
  std::vector<std::string> order;
  for (const auto& rule : targets[0].rules()) order.push_back(rule.experiment_id());
  EXPECT_EQ(order, (std::vector<std::string>{loss, delay, more}));
  EXPECT_EQ(targets[0].rules(0).phase(), TARGET_PHASE_PENDING);
  EXPECT_EQ(targets[0].rules(1).fault().kind(), "NETWORK_LATENCY");
  EXPECT_EQ(targets[0].rules(1).acts_on(0), "network/egress");
}

TEST_F(Effective, RulesSayToWhichPortsOfTheTargetTheyKeep) {
  control::v1::Command command;
  auto* agent = command.mutable_register_agent()->mutable_agent();
  *agent = d_.state.agents.at("a");
  agent->mutable_targets(0)->add_ports(6379);
  d_.Apply(command);
  Begin("NETWORK_LOSS", {{"loss_percent", "1"}});
  const auto id = Begin("NETWORK_LOSS", {{"loss_percent", "1"}, {"peer_port", "5432"}});
  const auto rules = Of(id).at(0).rules();
  ASSERT_EQ(rules.size(), 2);
  ASSERT_EQ(rules[0].local_ports_size(), 1);
  EXPECT_EQ(rules[0].local_ports(0), "6379");
  EXPECT_EQ(rules[1].local_ports_size(), 0);
}

TEST_F(Effective, DelaysAddLossesMultiplyAndTheTightestRateHolds) {
  const auto id = Begin("NETWORK_LATENCY", {{"delay_ms", "20"}});
  Begin("NETWORK_LATENCY", {{"delay_ms", "5"}, {"direction", "both"}});
  Begin("NETWORK_LOSS", {{"loss_percent", "10"}});
  Begin("NETWORK_LOSS", {{"loss_percent", "50"}});
  Begin("NETWORK_BANDWIDTH", {{"rate_bps", "4mbps"}});
  Begin("NETWORK_BANDWIDTH", {{"rate_bps", "1mbps"}});
  Begin("NETWORK_BANDWIDTH", {{"rate_bps", "2mbps"}});
  EXPECT_EQ(CombinedOf(id),
            (std::vector<std::string>{
                "network/egress delay_ms 25 ms", "network/egress loss_percent 55 %",
                "network/egress rate_bps 1000000 bps", "network/ingress delay_ms 5 ms"}));
}

TEST_F(Effective, OnlyWhatIsActiveCountsAndWhatHasEndedIsGone) {
  const auto id = Begin("NETWORK_LATENCY", {{"delay_ms", "20"}});
  const auto other = Begin("NETWORK_LATENCY", {{"delay_ms", "5"}}, /*active=*/false);
  EXPECT_EQ(CombinedOf(id), std::vector<std::string>{"network/egress delay_ms 20 ms"});
  d_.Report("a", 1, other, "a/x", TARGET_PHASE_ACTIVE);
  EXPECT_EQ(CombinedOf(id), std::vector<std::string>{"network/egress delay_ms 25 ms"});
  d_.Stop({id});
  EXPECT_EQ(CombinedOf(other), std::vector<std::string>{"network/egress delay_ms 5 ms"});
  EXPECT_EQ(Of(other).at(0).rules_size(), 2);
  d_.Report("a", 1, id, "a/x", TARGET_PHASE_REVERTED);
  EXPECT_TRUE(Of(id).empty());
  EXPECT_EQ(Of(other).at(0).rules_size(), 1);
}

TEST_F(Effective, AKindThatThisProgramDoesNotKnowIsShown) {
  const auto id = Begin("NETWORK_LATENCY", {{"delay_ms", "20"}});
  const std::string other = d_.Create("service:x", "newer");
  d_.Report("a", 1, other, "a/x", TARGET_PHASE_ACTIVE);
  ASSERT_EQ(Of(id).at(0).rules_size(), 2);
  EXPECT_EQ(CombinedOf(id), std::vector<std::string>{"network/egress delay_ms 20 ms"});
}

}  // namespace
}  // namespace faultline::server
