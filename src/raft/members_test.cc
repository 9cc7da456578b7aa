// Changes of membership and transfer of leadership, over the driver.
#include <gtest/gtest.h>

#include "raft/test_group.h"

namespace faultline::raft {
namespace {

void Grow(TestGroup& group, uint64_t id) {
  group.StartJoining(id);
  ASSERT_TRUE(group.Add(id).ok());
  ASSERT_TRUE(group.Promote(id).ok());
}

TEST(MembersTest, AGroupGrowsFromOneToFiveAndEachNewMemberHasEverything) {
  TestGroup group(1);
  ASSERT_EQ(group.WaitForLeader(), 1u);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(group.Propose(1, std::to_string(i)).ok());
  for (uint64_t id = 2; id <= 5; ++id) Grow(group, id);
  EXPECT_EQ(group.Members(1), "1 2 3 4 5");
  ASSERT_TRUE(group.Propose(1, "last").ok());
  ASSERT_TRUE(group.RunFor(5'000, [&] {
    for (uint64_t id = 1; id <= 5; ++id) {
      if (group.machine(id).size() < 21) return false;
    }
    return true;
  }));
  EXPECT_EQ(group.Members(5), "1 2 3 4 5");
  EXPECT_EQ(group.Term(1), 1u) << "growing costs no election";
  group.Stop(1);
  group.Stop(2);
  const uint64_t leader = group.WaitForLeader();
  EXPECT_GE(leader, 3u);
  EXPECT_TRUE(group.Propose(leader, "without the first two").ok());
}

TEST(MembersTest, ALearnerHasTheLogButNeitherVotesNorCounts) {
  TestGroup group(2);
  const uint64_t leader = group.WaitForLeader();
  group.StartJoining(3);
  ASSERT_TRUE(group.Add(3).ok());
  EXPECT_EQ(group.Members(leader), "1 2 (3)");
  ASSERT_TRUE(group.Propose(leader, "x").ok());
  ASSERT_TRUE(group.RunFor(5'000, [&] { return group.machine(3).size() == 1; }));
  group.Stop(leader == 1 ? 2 : 1);
  EXPECT_FALSE(group.Propose(leader, "no quorum", 5'000).ok()) << "one of two voters";
  EXPECT_EQ(group.WaitForLeader(5'000), 0u);
  EXPECT_EQ(group.driver(3).view().role, Role::kFollower);
}

TEST(MembersTest, ADeadNodeIsReplacedAndItsPlaceTakenByANewOne) {
  TestGroup group(3);
  uint64_t leader = group.WaitForLeader();
  const uint64_t dead = leader == 3 ? 2 : 3;
  group.Stop(dead);
  group.RunFor(3'000);
  ASSERT_TRUE(group.Remove(dead).ok());
  Grow(group, 4);
  EXPECT_EQ(group.Members(leader), dead == 3 ? "1 2 4" : "1 3 4");
  group.Stop(leader);
  leader = group.WaitForLeader();
  ASSERT_NE(leader, 0u);
  EXPECT_TRUE(group.Propose(leader, "x").ok());
}

TEST(MembersTest, AChangeThatWouldLoseTheQuorumIsRefusedAndNothingIsDone) {
  TestGroup group(3);
  const uint64_t leader = group.WaitForLeader();
  const uint64_t dead = leader % 3 + 1;
  const uint64_t alive = 6 - leader - dead;
  group.Stop(dead);
  group.RunFor(3'000);
  const Status refused = group.Remove(alive);
  EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonOf(refused), "QUORUM_AT_RISK");
  EXPECT_NE(ToString(refused.message()).find(fmt::format("node {}", dead)), std::string::npos)
      << refused;
  EXPECT_EQ(group.Members(leader), "1 2 3");
  EXPECT_TRUE(group.Propose(leader, "x").ok());
}

TEST(MembersTest, WhatMakesNoSenseIsRefusedWithItsReason) {
  TestGroup group(1);
  group.WaitForLeader();
  const Status exists = group.Change(1, {MemberChange::Kind::kAdd, 1, "elsewhere:7401"});
  EXPECT_EQ(ReasonOf(exists), "MEMBER_EXISTS");
  EXPECT_EQ(DetailOf(exists)->metadata().at("address"), group.AddressOf(1));
  EXPECT_EQ(ReasonOf(group.Change(1, {MemberChange::Kind::kAdd, 2, group.AddressOf(1)})),
            "ADDRESS_IN_USE");
  EXPECT_EQ(group.Change(1, {MemberChange::Kind::kAdd, 2, ""}).code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonOf(group.Promote(2)), "MEMBER_NOT_FOUND");
  EXPECT_EQ(ReasonOf(group.Promote(1)), "MEMBER_IS_VOTER");
  EXPECT_EQ(ReasonOf(group.Remove(1)), "LAST_VOTER");
  EXPECT_EQ(ReasonOf(group.Transfer(1, 0)), "NO_TRANSFEREE");
  for (uint64_t id = 2; id <= 7; ++id) ASSERT_TRUE(group.Add(id).ok());
  EXPECT_EQ(ReasonOf(group.Add(8)), "TOO_MANY_MEMBERS");
  const Status silent = group.Promote(2);
  EXPECT_EQ(silent.code(), StatusCode::kFailedPrecondition) << "it does not run";
  EXPECT_EQ(group.Members(1), "1 (2) (3) (4) (5) (6) (7)");
}

TEST(MembersTest, APromotionOfOneThatIsAwayHoldsUpNoOtherChange) {
  TestGroup group(3);
  const uint64_t leader = group.WaitForLeader();
  ASSERT_TRUE(group.Add(4).ok());
  const auto refused_after_ms = [&group] {
    const uint64_t before_ms = group.now_ms();
    const Status refused = group.Promote(4);
    EXPECT_EQ(ReasonOf(refused), "NOT_CAUGHT_UP") << refused;
    return group.now_ms() - before_ms;
  };
  const uint64_t first_ms = refused_after_ms();
  EXPECT_GT(first_ms, 500u) << "a new member is given time for its first answer";
  EXPECT_LT(first_ms, 1'500u) << "of virtual time";
  EXPECT_LT(refused_after_ms(), 10u) << "of virtual time";
  // The same under a leader that does not know yet who is away.
  ASSERT_TRUE(group.Transfer(leader, 0).ok());
  ASSERT_TRUE(group.RunFor(1'000, [&] { return group.Leader() != leader; }));
  ASSERT_NE(group.WaitForLeader(), leader);
  EXPECT_GT(refused_after_ms(), 500u);
  EXPECT_TRUE(group.Add(5).ok());
  group.StartJoining(4);
  ASSERT_TRUE(group.RunFor(5'000, [&] { return group.Members(4) == "1 2 3 (4) (5)"; }));
  group.RunFor(500);
  EXPECT_TRUE(group.Promote(4).ok());
}

TEST(MembersTest, OnlyOneChangeIsUnderWayAtATime) {
  TestGroup group(3);
  const uint64_t leader = group.WaitForLeader();
  std::optional<Status> first;
  group.driver(leader).Change({MemberChange::Kind::kAdd, 4, "m4:1"},
                              [&](const Status& status) { first = status; });
  EXPECT_EQ(ReasonOf(group.Add(5)), "CHANGE_PENDING");
  EXPECT_EQ(ReasonOf(group.Transfer(leader, 0)), "CHANGE_PENDING");
  ASSERT_TRUE(group.RunFor(2'000, [&] { return first.has_value(); }));
  EXPECT_TRUE(first->ok());
  EXPECT_TRUE(group.Add(5).ok());
}

TEST(MembersTest, TheLeaderIsRemovedAfterItHasHandedOver) {
  TestGroup group(3);
  const uint64_t leader = group.WaitForLeader();
  EXPECT_EQ(ReasonOf(group.Remove(leader)), "IS_LEADER");
  ASSERT_TRUE(group.Transfer(leader, 0).ok());
  const uint64_t next = group.WaitForLeader();
  ASSERT_NE(next, leader);
  ASSERT_TRUE(group.Remove(leader).ok());
  const uint64_t term = group.Term(next);
  group.RunFor(10'000);
  EXPECT_EQ(group.Term(next), term) << "the removed node disturbs nobody";
  EXPECT_EQ(group.driver(leader).group().not_member_by != 0, true) << "and was told";
}

TEST(MembersTest, ATransferTakesNoTimeoutAndLosesNoCommand) {
  TestGroup group(3);
  const uint64_t leader = group.WaitForLeader();
  const uint64_t term = group.Term(leader);
  const uint64_t before_ms = group.now_ms();
  const uint64_t to = leader % 3 + 1;
  ASSERT_TRUE(group.Transfer(leader, to).ok());
  ASSERT_TRUE(group.RunFor(1'000, [&] { return group.Leader() == to; }));
  EXPECT_LT(group.now_ms() - before_ms, 50u) << "of virtual time";
  EXPECT_EQ(group.Term(to), term + 1);
}

TEST(MembersTest, ATransferToOneThatDoesNotAnswerLeavesTheLeaderInOffice) {
  TestGroup group(3);
  const uint64_t leader = group.WaitForLeader();
  const uint64_t to = leader % 3 + 1;
  group.RunFor(500);
  group.Cut(leader, to);
  EXPECT_EQ(group.Transfer(leader, to).code(), StatusCode::kDeadlineExceeded);
  EXPECT_EQ(group.Leader(), leader);
  EXPECT_TRUE(group.Propose(leader, "x").ok()) << "commands wait no longer";
}

TEST(MembersTest, APromotedMemberVotesThoughItDoesNotYetKnowThatItMay) {
  TestGroup group(2);
  const uint64_t leader = group.WaitForLeader();
  const uint64_t other = 3 - leader;
  group.StartJoining(3);
  ASSERT_TRUE(group.Add(3).ok());
  group.RunFor(500);
  // The promotion reaches the other voter, which with the leader is a majority of three, and not
  // the one that is promoted.
  group.tamper = [&](uint64_t, uint64_t to, pb::PeerMessage* message) {
    if (to != 3 || !message->has_append_entries()) return true;
    for (const auto& entry : message->append_entries().entries()) {
      if (entry.type() == pb::ENTRY_TYPE_CONFIGURATION) return false;
    }
    return true;
  };
  ASSERT_TRUE(group.Promote(3).ok());
  ASSERT_EQ(group.Members(3), "1 2 (3)");
  group.Stop(leader);
  group.tamper = nullptr;
  EXPECT_EQ(group.WaitForLeader(), other) << "with the vote of the third";
  ASSERT_TRUE(group.RunFor(5'000, [&] { return group.Members(3) == "1 2 3"; }));
}

TEST(MembersTest, AMemberWithAnOldConfigurationFollowsALeaderThatItDoesNotKnow) {
  TestGroup group(3);
  group.WaitForLeader();
  const uint64_t old = group.Leader() == 3 ? 2 : 3;
  group.Isolate(old);
  group.RunFor(2'000);
  Grow(group, 4);
  ASSERT_TRUE(group.Transfer(group.Leader(), 4).ok());
  ASSERT_EQ(group.WaitForLeader(), 4u);
  group.Mend();
  for (const uint64_t id : {1, 2, 3}) {
    if (id != old) group.Cut(id, old), group.Cut(old, id);
  }
  EXPECT_TRUE(group.RunFor(10'000, [&] { return group.Members(old) == "1 2 3 4"; }));
  EXPECT_EQ(group.Leader(), 4u);
}

TEST(MembersTest, AMembersChangeSurvivesARestartOfAll) {
  TestGroup group(3);
  group.WaitForLeader();
  Grow(group, 4);
  group.RunFor(1'000);
  for (uint64_t id = 1; id <= 4; ++id) group.Stop(id);
  for (uint64_t id = 1; id <= 4; ++id) {
    group.Start(id);
    ASSERT_TRUE(group.started().ok()) << group.started();
    EXPECT_EQ(group.Members(id), "1 2 3 4");
  }
  EXPECT_NE(group.WaitForLeader(), 0u);
}

TEST(MembersTest, ANewMemberBeginsFromASnapshotWhenTheLogHasBeenCut) {
  TestGroup group(1);
  group.Stop(1);
  group.options().snapshot_every = 10;
  group.options().snapshot_trailing = 2;
  group.Start(1);
  group.WaitForLeader();
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(group.Propose(1, std::to_string(i)).ok());
  group.RunFor(20, [] { return false; });
  Grow(group, 2);
  EXPECT_TRUE(group.RunFor(5'000, [&] { return group.machine(2).size() == 50; }));
  EXPECT_GE(group.machine(2).restores(), 1);
  EXPECT_EQ(group.Members(2), "1 2");
}

TEST(ConfigurationsTest, ARemovedTailBringsTheOneBeforeBackIntoForce) {
  Configurations all;
  EXPECT_EQ(all.latest().members_size(), 0);
  pb::Configuration one;
  one.add_members()->set_id(1);
  pb::Configuration two = one;
  two.add_members()->set_id(2);
  all.Reset(1, one);
  all.Append(5, two);
  EXPECT_TRUE(all.pending());
  EXPECT_EQ(all.latest().members_size(), 2);
  all.RemoveFrom(5);
  EXPECT_FALSE(all.pending());
  EXPECT_EQ(all.latest().members_size(), 1);
  all.Append(7, two);
  all.Commit(7);
  EXPECT_EQ(all.committed_index(), 7u);
  all.RemoveFrom(7);
  EXPECT_EQ(all.latest_index(), 7u) << "what is committed stays";
}

}  // namespace
}  // namespace faultline::raft
