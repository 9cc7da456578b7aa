#include "control/selector.h"

#include <gtest/gtest.h>

#include "control/test_support.h"

namespace faultline::control {
namespace {

std::vector<std::string> Select(const State& state, const std::string& text) {
  const auto selector = Selector::Parse(text);
  EXPECT_TRUE(selector.ok()) << selector.status();
  const auto targets = SelectTargets(*selector, state.agents);
  EXPECT_TRUE(targets.ok()) << targets.status();
  std::vector<std::string> ids;
  if (targets.ok()) {
    for (const auto* target : *targets) ids.push_back(target->target_id());
  }
  return ids;
}

Status ErrorOf(const State& state, const std::string& text) {
  const auto selector = Selector::Parse(text);
  if (!selector.ok()) return selector.status();
  return SelectTargets(*selector, state.agents).status();
}

State TwoHosts() {
  testing::Driver driver;
  driver.Register("b", 1, {"checkout", "cart"});
  driver.Register("a", 1, {"checkout"});
  return driver.state;
}

TEST(Selector, MatchesTargetsWhoseEveryTermHolds) {
  const State state = TwoHosts();
  EXPECT_EQ(Select(state, "service:checkout,version:v1"),
            (std::vector<std::string>{"a/checkout", "b/checkout"}));
  EXPECT_EQ(Select(state, "service:checkout, agent:b"), std::vector<std::string>{"b/checkout"});
  EXPECT_EQ(Select(state, "target:b/cart"), std::vector<std::string>{"b/cart"});
}

TEST(Selector, ThatMatchesNothingIsNotFound) {
  const Status status = ErrorOf(TwoHosts(), "service:billing");
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_EQ(ToString(status.message()),
            "target: 'service:billing' was not found: a selector that matches at least one target");
  EXPECT_EQ(DetailOf(status)->reason(), "NO_TARGET_MATCHES");
}

TEST(Selector, WithAnUnknownKeyIsRefusedListingTheKnown) {
  const Status status = ErrorOf(TwoHosts(), "servce:checkout");
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(
      ToString(status.message()),
      "target: 'servce:checkout' is not allowed: 'servce' is no key of any target; known keys "
      "are agent, service, target, version");
}

TEST(Selector, BeforeAnyAgentMatchesNothing) {
  EXPECT_EQ(ErrorOf(State(), "service:checkout").code(), StatusCode::kNotFound);
}

TEST(Selector, OfAnotherFormIsRefused) {
  for (const char* wrong :
       {"", "service", "service:", ":checkout", "service:a,", ",service:a", "a:b,,c:d"}) {
    const Status status = ErrorOf(TwoHosts(), wrong);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << wrong;
    EXPECT_EQ(DetailOf(status)->violations(0).field(), "target");
    EXPECT_EQ(DetailOf(status)->violations(0).value(), wrong);
  }
}

}  // namespace
}  // namespace faultline::control
