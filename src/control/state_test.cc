#include "control/state.h"

#include <gtest/gtest.h>

#include "control/test_support.h"
#include "control/version.h"

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

// By their own clocks agents may be a moment before the leader.
TEST(TimeThatIsUp, EndsAnExperimentThatItsAgentsHaveReverted) {
  Driver d;
  d.RaiseVersion(kNewestVersion);
  d.Register("a", 1, {"x"});
  const auto end_at = [&d](int64_t before_end_ms) {
    const std::string id = d.Create("service:x");
    d.Report("a", 1, id, "a/x", chaos::v1::TARGET_PHASE_ACTIVE);
    d.now_ms = ToUnixMs(d.Get(id).ends_at()) - before_end_ms - 1;  // a command takes one
    d.Report("a", 1, id, "a/x", chaos::v1::TARGET_PHASE_REVERTED);
    return d.Get(id);
  };
  EXPECT_EQ(end_at(0).phase(), "expired");
  EXPECT_EQ(end_at(0).reason(), "its time is up");
  EXPECT_EQ(end_at(1).phase(), "reverted");
}

class GrantedLeases : public ::testing::Test {
 protected:
  // By a node that grants leases of that length.
  void Register(uint64_t incarnation, int64_t lease_s) {
    d.Register("a", incarnation, {"x", "y"}, /*tun=*/true, lease_s);
  }
  int64_t OfPair(const std::string& id) { return d.Get(id).targets(0).lease().seconds(); }
  Driver d;
};

TEST_F(GrantedLeases, OfTheAgentsNodeCountWhateverTheNodeThatBeganItsFaults) {
  Register(1, 60);
  const std::string id = d.Create("service:x");
  EXPECT_EQ(OfPair(id), 60);
  EXPECT_EQ(LongestLeaseMs(d.state, "a"), 60'000);
}

TEST_F(GrantedLeases, OfANodeThatTheAgentGoesToCountForWhatItHolds) {
  Register(1, 5);
  const std::string id = d.Create("service:x");
  d.Report("a", 1, id, "a/x", chaos::v1::TARGET_PHASE_ACTIVE);
  EXPECT_EQ(OfPair(id), 10) << "of the node that began it";
  const uint64_t revision = d.Get(id).revision();
  Register(1, 60);
  EXPECT_EQ(OfPair(id), 60);
  EXPECT_EQ(d.PhaseOf(id), chaos::v1::TARGET_PHASE_ACTIVE);
  EXPECT_GT(d.Get(id).revision(), revision) << "a change of the experiment as any other";
}

// Back at a node with shorter leases it may still hold the longer one: what is begun then as well.
TEST_F(GrantedLeases, DoNotBecomeShorterWhileTheAgentRuns) {
  Register(1, 60);
  const std::string before = d.Create("service:x");
  Register(1, 5);
  const std::string since = d.Create("service:y");
  EXPECT_EQ(OfPair(before), 60);
  EXPECT_EQ(OfPair(since), 60);
  const uint64_t revision = d.Get(before).revision();
  Register(1, 5);
  EXPECT_EQ(d.Get(before).revision(), revision) << "nothing has changed";
}

// A process that is gone held its leases itself; but the one that holds a fault may not be the one
// that was registered last.
TEST_F(GrantedLeases, OfAnEarlierStartCountOnlyForWhatItMayHold) {
  Register(1, 60);
  const std::string before = d.Create("service:x");
  Register(2, 5);
  EXPECT_EQ(OfPair(before), 60);
  EXPECT_EQ(OfPair(d.Create("service:y")), 10);
}

TEST_F(GrantedLeases, AreToldByCommandsOfTheVersionThatKnowsThem) {
  v1::Command command;
  command.mutable_register_agent()->mutable_agent()->set_agent_id("a");
  EXPECT_EQ(VersionOf(command), kFirstVersion);
  command.mutable_register_agent()->mutable_agent()->mutable_lease()->set_seconds(5);
  EXPECT_EQ(VersionOf(command), kLeaseVersion);
}

TEST(DesiredState, SaysAnotherSignatureWhenAnEndIsAskedForAndWhenItHasCome) {
  Driver d;
  d.Register("a", 1, {"x"});
  EXPECT_EQ(DesiredSignature(d.state, "a"), "");
  const std::string id = d.Create("service:x");
  const std::string wanted = DesiredSignature(d.state, "a");
  d.Report("a", 1, id, "a/x", chaos::v1::TARGET_PHASE_ACTIVE);
  EXPECT_EQ(DesiredSignature(d.state, "a"), wanted) << "it has it already";
  d.Stop({id});
  EXPECT_NE(DesiredSignature(d.state, "a"), wanted);
  EXPECT_NE(DesiredSignature(d.state, "a"), "");
  d.Report("a", 1, id, "a/x", chaos::v1::TARGET_PHASE_REVERTED);
  EXPECT_EQ(DesiredSignature(d.state, "a"), "");
}

}  // namespace
}  // namespace faultline::control
