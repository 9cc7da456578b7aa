// Members that get another address, over the driver: none that could be wrong may cost the
// majority.
#include <gtest/gtest.h>

#include <algorithm>

#include "raft/test_group.h"

namespace faultline::raft {
namespace {

TEST(MemberAddressTest, AnAddressChanges) {
  TestGroup group(3);
  const uint64_t leader = group.WaitForLeader();
  const uint64_t moved = leader % 3 + 1;
  ASSERT_TRUE(group.Change(leader, {MemberChange::Kind::kSetAddress, moved, "else:1"}).ok());
  EXPECT_EQ(group.driver(leader).members()[moved - 1].address, "else:1");
  EXPECT_EQ(ReasonOf(group.Change(leader, {MemberChange::Kind::kSetAddress, leader, "else:1"})),
            "ADDRESS_IN_USE");
  ASSERT_TRUE(
      group.Change(leader, {MemberChange::Kind::kSetAddress, moved, group.AddressOf(moved)}).ok());
}

TEST(MemberAddressTest, AnAddressThatCouldLoseTheQuorumIsRefused) {
  TestGroup group(3);
  const uint64_t leader = group.WaitForLeader();
  const uint64_t dead = leader % 3 + 1;
  const uint64_t moved = 6 - leader - dead;
  group.Stop(dead);
  group.RunFor(3'000);
  for (const uint64_t id : {moved, leader}) {
    const Status refused = group.Change(leader, {MemberChange::Kind::kSetAddress, id, "typo:1"});
    EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition);
    EXPECT_EQ(ReasonOf(refused), "QUORUM_AT_RISK");
    EXPECT_NE(ToString(refused.message()).find(fmt::format("{} (at a new address", id)),
              std::string::npos)
        << refused;
  }
  EXPECT_EQ(group.driver(leader).members()[moved - 1].address, group.AddressOf(moved));
  EXPECT_TRUE(group.Propose(leader, "x").ok());
  // The dead one is not needed, and may have moved.
  EXPECT_TRUE(group.Change(leader, {MemberChange::Kind::kSetAddress, dead, "else:1"}).ok());
}

TEST(MemberAddressTest, OfTwoVotersNoneMovesAndOneAloneMay) {
  TestGroup two(2);
  const uint64_t leader = two.WaitForLeader();
  two.RunFor(2'000);
  for (const uint64_t id : {1, 2}) {
    EXPECT_EQ(ReasonOf(two.Change(leader, {MemberChange::Kind::kSetAddress, id, "else:1"})),
              "QUORUM_AT_RISK");
  }
  TestGroup one(1);
  one.WaitForLeader();
  EXPECT_TRUE(one.Change(1, {MemberChange::Kind::kSetAddress, 1, "else:1"}).ok());
}

TEST(MemberAddressTest, AMemberThatHasMovedDoesNotCountForTheNextChangeBeforeItAnswers) {
  TestGroup group(3);
  const uint64_t leader = group.WaitForLeader();
  const uint64_t moved = leader % 3 + 1;
  const uint64_t third = 6 - leader - moved;
  group.RunFor(2'000);
  ASSERT_TRUE(group.Change(leader, {MemberChange::Kind::kSetAddress, moved, "typo:1"}).ok());
  for (int i = 0; i < 2; ++i) {
    const Status refused = group.Change(leader, {MemberChange::Kind::kSetAddress, third, "else:1"});
    EXPECT_EQ(ReasonOf(refused), "QUORUM_AT_RISK") << refused;
    EXPECT_NE(ToString(refused.message()).find(fmt::format("node {}", std::min(moved, third))),
              std::string::npos)
        << refused;
    // Nor do answers to what was sent to the old address.
    group.RunFor(10);
  }
  EXPECT_EQ(ReasonOf(group.Remove(third)), "QUORUM_AT_RISK");
  EXPECT_TRUE(group.Propose(leader, "x").ok());

  ASSERT_TRUE(
      group.Change(leader, {MemberChange::Kind::kSetAddress, moved, group.AddressOf(moved)}).ok());
  group.RunFor(1'000);
  EXPECT_EQ(group.Leader(), leader);
  EXPECT_TRUE(group.Change(leader, {MemberChange::Kind::kSetAddress, third, "else:1"}).ok())
      << "it has answered from there";
}

TEST(MemberAddressTest, TheAddressThatAMemberHasMovesNobody) {
  TestGroup group(2);
  const uint64_t leader = group.WaitForLeader();
  group.RunFor(2'000);
  for (const uint64_t id : {1, 2}) {
    EXPECT_TRUE(
        group.Change(leader, {MemberChange::Kind::kSetAddress, id, group.AddressOf(id)}).ok());
  }
  EXPECT_EQ(ReasonOf(group.Change(leader, {MemberChange::Kind::kSetAddress, 3 - leader, "x:1"})),
            "QUORUM_AT_RISK");
}

}  // namespace
}  // namespace faultline::raft
