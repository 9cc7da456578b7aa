#include "control/state.h"

#include <gtest/gtest.h>

#include "control/test_support.h"

namespace faultline::control {
namespace {

using testing::Driver;

// A leader with a shorter lease must not call an agent lost that may hold a longer one.
TEST(LongestLease, IsOfWhatTheAgentMayStillHold) {
  Driver d;
  d.Register("a", 1, {"x", "y"});
  d.Register("b", 1, {"x"});
  EXPECT_EQ(LongestLeaseMs(d.state, "a"), 0);
  auto longer = Driver::CreateCommand("service:y", "");
  longer.mutable_create_experiment()->set_lease_ms(60'000);
  const std::string id = d.Apply(longer).result.experiments(0).experiment_id();
  d.Create("service:x");
  EXPECT_EQ(LongestLeaseMs(d.state, "a"), 60'000);
  EXPECT_EQ(LongestLeaseMs(d.state, "b"), 10'000);
  d.Report("a", 1, id, "a/y", chaos::v1::TARGET_PHASE_REFUSED, "no such interface");
  EXPECT_EQ(LongestLeaseMs(d.state, "a"), 10'000);
}

}  // namespace
}  // namespace faultline::control
