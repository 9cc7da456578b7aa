#include "cli/describe.h"

#include <gtest/gtest.h>

namespace faultline::cli {
namespace {

using Texts = std::vector<std::string>;

void AddEffect(const std::string& acts_on, const std::string& name, double value,
               const std::string& unit, chaos::v1::EffectiveTarget* target) {
  auto* combined = target->add_combined();
  combined->set_acts_on(acts_on);
  combined->set_name(name);
  combined->set_value(value);
  combined->set_unit(unit);
}

TEST(StackedTexts, TellTheOthersOnATargetAndWhatAllComeTo) {
  chaos::v1::GetExperimentResponse response;
  response.mutable_experiment()->set_experiment_id("exp-2");
  auto* alone = response.add_effective();
  alone->set_target_id("a/x");
  alone->add_rules()->set_experiment_id("exp-2");
  EXPECT_EQ(StackedTexts(response), Texts{});
  auto* shared = response.add_effective();
  shared->set_target_id("a/y");
  for (const char* id : {"exp-1", "exp-2", "exp-1"}) shared->add_rules()->set_experiment_id(id);
  EXPECT_EQ(StackedTexts(response), Texts{"a/y also carries exp-1"});
  AddEffect("network/egress", "delay_ms", 25, "ms", shared);
  AddEffect("network/egress", "rate_bps", 1e9, "bps", shared);
  AddEffect("network/ingress", "loss_percent", 1.99, "%", shared);
  EXPECT_EQ(StackedTexts(response),
            (Texts{"a/y also carries exp-1; together, of those that are active:",
                   "  network/egress: delay_ms 25 ms, rate_bps 1000000000 bps",
                   "  network/ingress: loss_percent 1.99 %"}));
}

TEST(ActsOnText, NamesThePortsToWhichARuleKeeps) {
  chaos::v1::EffectiveRule rule;
  for (const char* name : {"network/egress", "network/ingress"}) rule.add_acts_on(name);
  EXPECT_EQ(ActsOnText(rule), "network/egress, network/ingress");
  for (const char* ports : {"80", "8000-8100"}) rule.add_local_ports(ports);
  EXPECT_EQ(ActsOnText(rule), "network/egress, network/ingress, local port 80 8000-8100");
}

TEST(EndText, SaysHowAnExperimentEndedAndWhyWhereThatIsKnown) {
  chaos::v1::MetricUpdate update;
  update.set_experiment_id("exp-1");
  update.mutable_end()->set_status(chaos::v1::EXPERIMENT_STATUS_COMPLETED);
  update.mutable_end()->set_phase("expired");
  EXPECT_EQ(EndText(update), "exp-1 has ended: completed, expired");
  update.mutable_end()->set_reason("enough");
  EXPECT_EQ(EndText(update), "exp-1 has ended: completed, expired: enough");
}

TEST(FreshnessText, SaysWhoseStateAnAnswerIsAndHowOld) {
  chaos::v1::Freshness freshness;
  freshness.set_node_id(2);
  EXPECT_EQ(FreshnessText(freshness), "given by node 2, with everything acknowledged before");
  freshness.set_stale(true);
  EXPECT_EQ(FreshnessText(freshness),
            "node 2's own state, of which it is not known how far it is behind");
  freshness.mutable_age()->set_nanos(350'000'000);
  EXPECT_EQ(FreshnessText(freshness),
            "node 2's own state, with everything acknowledged 350ms before");
}

TEST(FaultText, NamesKindAndParameters) {
  chaos::v1::Fault fault;
  fault.set_kind("NETWORK_LOSS");
  (*fault.mutable_parameters())["loss_percent"] = "3";
  (*fault.mutable_parameters())["direction"] = "egress";
  EXPECT_EQ(FaultText(fault), "NETWORK_LOSS direction=egress loss_percent=3");
}

}  // namespace
}  // namespace faultline::cli
