#include "agent/lease_keeper.h"

#include <gtest/gtest.h>

namespace faultline::agent {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

chaos::v1::StateVersion Version(uint64_t term, uint64_t revision,
                                const std::string& cluster = "c") {
  chaos::v1::StateVersion version;
  version.set_cluster_id(cluster);
  version.set_term(term);
  version.set_revision(revision);
  return version;
}

chaos::v1::LeaseGrant Grant(const chaos::v1::StateVersion& version, uint64_t sent_ns,
                            int64_t lease_s = 10) {
  chaos::v1::LeaseGrant grant;
  *grant.mutable_version() = version;
  grant.set_sent_boottime_ns(sent_ns);
  grant.mutable_lease()->set_seconds(lease_s);
  return grant;
}

// Connected at 100 s, renewal sent and granted by term 2 revision 50: held until 110 s.
LeaseKeeper Leased() {
  LeaseKeeper keeper;
  keeper.OnConnected(100 * kSecond);
  keeper.OnRenewalSent(100 * kSecond);
  EXPECT_TRUE(keeper.OnGrant(Grant(Version(2, 50), 100 * kSecond), 101 * kSecond).ok());
  return keeper;
}

TEST(LeaseKeeper, CountsTheLeaseFromWhenTheRenewalWasSent) {
  const LeaseKeeper keeper = Leased();
  EXPECT_EQ(keeper.until_ns(), 110 * kSecond);
  EXPECT_TRUE(keeper.Held(110 * kSecond - 1));
  EXPECT_FALSE(keeper.Held(110 * kSecond));
}

TEST(LeaseKeeper, RenewsAtOnceOnConnectAndThenEveryQuarterOfTheLease) {
  LeaseKeeper keeper;
  keeper.OnConnected(100 * kSecond);
  EXPECT_EQ(keeper.renewal_due_ns(), 100 * kSecond);
  EXPECT_EQ(Leased().renewal_due_ns(), 102 * kSecond + kSecond / 2);
}

TEST(LeaseKeeper, RepeatsAnUnansweredRenewalAndGivesASilentNodeUp) {
  LeaseKeeper keeper = Leased();
  keeper.OnRenewalSent(103 * kSecond);
  EXPECT_EQ(keeper.renewal_due_ns(), 103 * kSecond + LeaseKeeper::kRetryNs);
  EXPECT_FALSE(keeper.NodeIsSilent(106 * kSecond));
  EXPECT_TRUE(keeper.NodeIsSilent(106 * kSecond + 1));
}

TEST(LeaseKeeper, AShortLeaseLeavesTimeToFindAnotherNode) {
  LeaseKeeper keeper;
  keeper.OnConnected(100 * kSecond);
  keeper.OnRenewalSent(100 * kSecond);
  ASSERT_TRUE(keeper.OnGrant(Grant(Version(1, 1), 100 * kSecond, 2), 100 * kSecond).ok());
  keeper.OnRenewalSent(keeper.renewal_due_ns());
  EXPECT_TRUE(keeper.NodeIsSilent(keeper.until_ns() - kSecond / 2));
}

TEST(LeaseKeeper, AnsweredRenewalsNeverMakeANodeSilent) {
  EXPECT_FALSE(Leased().NodeIsSilent(1000 * kSecond));
}

TEST(LeaseKeeper, AGrantForAnEarlierRenewalDoesNotShortenTheLease) {
  LeaseKeeper keeper;
  keeper.OnConnected(100 * kSecond);
  keeper.OnRenewalSent(100 * kSecond);
  keeper.OnRenewalSent(101 * kSecond);
  ASSERT_TRUE(keeper.OnGrant(Grant(Version(1, 1), 100 * kSecond, 30), 101 * kSecond).ok());
  ASSERT_TRUE(keeper.OnGrant(Grant(Version(1, 1), 101 * kSecond, 5), 101 * kSecond).ok());
  EXPECT_EQ(keeper.until_ns(), 130 * kSecond);
}

TEST(LeaseKeeper, RefusesAnOlderGrantAndLeavesTheLeaseAsItWas) {
  LeaseKeeper keeper = Leased();
  keeper.OnRenewalSent(102 * kSecond);
  EXPECT_FALSE(keeper.OnGrant(Grant(Version(2, 49), 102 * kSecond), 102 * kSecond).ok());
  EXPECT_FALSE(keeper.OnGrant(Grant(Version(1, 99), 102 * kSecond), 102 * kSecond).ok());
  EXPECT_EQ(keeper.until_ns(), 110 * kSecond);
  EXPECT_TRUE(keeper.OnGrant(Grant(Version(3, 1), 102 * kSecond), 102 * kSecond).ok());
  EXPECT_EQ(keeper.until_ns(), 112 * kSecond);
}

TEST(LeaseKeeper, RefusesAGrantThatAnswersNothingItAsked) {
  LeaseKeeper keeper = Leased();
  EXPECT_FALSE(keeper.OnGrant(Grant(Version(2, 50), 999 * kSecond), 101 * kSecond).ok());
  keeper.OnRenewalSent(102 * kSecond);
  keeper.OnConnected(103 * kSecond);
  EXPECT_FALSE(keeper.OnGrant(Grant(Version(2, 50), 102 * kSecond), 103 * kSecond).ok());
}

TEST(LeaseKeeper, RefusesAnotherClusterOnlyWhileALeaseIsHeld) {
  LeaseKeeper keeper = Leased();
  EXPECT_FALSE(keeper.OnDesired(Version(9, 9, "other"), 105 * kSecond).ok());
  EXPECT_TRUE(keeper.OnDesired(Version(1, 1, "other"), 111 * kSecond).ok());
  EXPECT_EQ(keeper.cluster_id(), "other");
}

// The lease of another cluster would keep up what the one before desired.
TEST(LeaseKeeper, TakesNoGrantOfAnotherClusterBeforeItsDesiredState) {
  LeaseKeeper keeper = Leased();
  keeper.OnConnected(108 * kSecond);
  EXPECT_FALSE(keeper.OnDesired(Version(9, 9, "other"), 108 * kSecond).ok());
  keeper.OnRenewalSent(109 * kSecond);
  const uint64_t now_ns = 111 * kSecond;
  ASSERT_FALSE(keeper.Held(now_ns));
  EXPECT_FALSE(keeper.OnGrant(Grant(Version(9, 9, "other"), 109 * kSecond), now_ns).ok());
  EXPECT_FALSE(keeper.Held(now_ns));
  EXPECT_TRUE(keeper.NodeIsSilent(113 * kSecond)) << "so that it is asked anew";
  // On the next stream it is told again.
  keeper.OnConnected(113 * kSecond);
  EXPECT_TRUE(keeper.OnDesired(Version(9, 9, "other"), 113 * kSecond).ok());
  keeper.OnRenewalSent(113 * kSecond);
  EXPECT_TRUE(keeper.OnGrant(Grant(Version(9, 9, "other"), 113 * kSecond), 113 * kSecond).ok());
  EXPECT_TRUE(keeper.Held(114 * kSecond));
}

TEST(LeaseKeeper, NeverTakesAnOlderDesiredStateOfItsClusterEvenWithoutALease) {
  LeaseKeeper keeper = Leased();
  ASSERT_TRUE(keeper.OnDesired(Version(2, 60), 101 * kSecond).ok());
  EXPECT_FALSE(keeper.OnDesired(Version(2, 59), 101 * kSecond).ok());
  EXPECT_FALSE(keeper.OnDesired(Version(2, 59), 500 * kSecond).ok());
  EXPECT_TRUE(keeper.OnDesired(Version(2, 60), 101 * kSecond).ok());
}

TEST(LeaseKeeper, ADesiredStateMakesOlderGrantsUnbelievable) {
  LeaseKeeper keeper = Leased();
  ASSERT_TRUE(keeper.OnDesired(Version(2, 60), 101 * kSecond).ok());
  keeper.OnRenewalSent(102 * kSecond);
  EXPECT_FALSE(keeper.OnGrant(Grant(Version(2, 55), 102 * kSecond), 102 * kSecond).ok());
}

TEST(LeaseKeeper, RefusesALengthThatIsNoLease) {
  LeaseKeeper keeper;
  keeper.OnConnected(kSecond);
  keeper.OnRenewalSent(kSecond);
  EXPECT_FALSE(keeper.OnGrant(Grant(Version(1, 1), kSecond, 0), kSecond).ok());
  EXPECT_FALSE(keeper.OnGrant(Grant(Version(1, 1), kSecond, -5), kSecond).ok());
  EXPECT_FALSE(keeper.OnGrant(Grant(Version(1, 1), kSecond, 4000), kSecond).ok());
}

}  // namespace
}  // namespace faultline::agent
