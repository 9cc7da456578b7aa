// Real nodes that join, are promoted, replaced and removed, and hand over, while clients write.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <thread>

#include "tests/cluster/group.h"
#include "tests/cluster/writer.h"

namespace faultline::cluster {
namespace {

using testing::HasSubstr;

// Runs it until nobody was elected besides, as it says; false when somebody was each time. An
// election that is brought about comes each time; on a starved machine there may be one anyway.
bool WithoutAnElection(const std::function<bool()>& run) {
  for (int runs = 0; runs < 5 && !testing::Test::HasFailure(); ++runs) {
    if (run()) return true;
  }
  return false;
}

bool GrowsInTermOne() {
  Group group(5);
  group.Start(1, {"--members", "1=" + group.Peer(1)});
  EXPECT_EQ(group.WaitForLeader(), 1u);
  Writer writer(group);
  for (uint64_t id = 2; id <= 5; ++id) {
    const int before = writer.written();
    group.Grow(id);
    if (testing::Test::HasFatalFailure()) return false;
    EXPECT_TRUE(Eventually([&] { return writer.written() > before; }));
  }
  writer.Stop();
  EXPECT_THAT(writer.failures(), testing::IsEmpty());
  const auto cluster = group.LookWhenLed();
  EXPECT_EQ(Group::Members(cluster), "1 2 3 4 5");
  EXPECT_TRUE(Eventually([&] {
    const auto members = group.Look().members();
    return members.size() == 5 && std::ranges::all_of(members, [](const auto& member) {
             return member.reachable() && member.version() != "";
           });
  }));
  // Two of five are gone: the others go on.
  group.node(1).Kill();
  group.node(2).Kill();
  EXPECT_GE(group.WaitForLeader(), 3u);
  return cluster.term() == 1 && cluster.leader_id() == 1;
}

TEST(Membership, GrowsFromOneToFiveUnderWritesAndNoneFails) {
  EXPECT_TRUE(WithoutAnElection(GrowsInTermOne)) << "growing costs no election";
}

TEST(Membership, ADeadNodeIsReplacedAndComesBackToARefusalAtBothEnds) {
  Group group(4);
  group.StartTogether(3);
  const uint64_t leader = group.WaitForLeader();
  const uint64_t dead = leader % 3 + 1;
  group.node(dead).Kill();
  group.Start(4, {"--join", group.Peer(leader)});
  ASSERT_TRUE(group.Added(4));
  ASSERT_TRUE(group.Promoted(4));
  ASSERT_TRUE(group.Removed(dead, 4));

  chaos::v1::GetClusterResponse cluster;
  EXPECT_TRUE(WithoutAnElection([&] {
    const auto before = group.LookWhenLed(4);
    group.node(dead).Kill();
    group.Restart(dead);
    EXPECT_TRUE(Eventually([&] {
      return group.node(dead).own_log().find("is no member of the cluster any more") !=
             std::string::npos;
    }));
    std::this_thread::sleep_for(std::chrono::seconds(2));
    cluster = group.LookWhenLed(4);
    return cluster.term() == before.term() && cluster.leader_id() == before.leader_id();
  })) << "it disturbs nobody";
  EXPECT_TRUE(Eventually([&] { return group.Look(dead).removed(); }));
  uint64_t refused = 0;
  for (const auto& member : cluster.members()) {
    const auto own = group.Look(member.node_id());
    const auto found = own.refused_peers().find("NOT_A_MEMBER");
    if (found != own.refused_peers().end()) refused += found->second;
  }
  EXPECT_GT(refused, 0u);
}

TEST(Membership, TheLeaderIsRemovedByHandingOverFirst) {
  Group group(3);
  group.StartTogether(3);
  const uint64_t leader = group.WaitForLeader();
  const uint64_t other = leader % 3 + 1;
  ASSERT_TRUE(group.Removed(leader, other));
  const auto cluster = group.LookWhenLed(other);
  EXPECT_NE(cluster.leader_id(), leader);
  EXPECT_EQ(cluster.members_size(), 2);
}

// Whether there was no election besides.
bool RestartsByHandingOver() {
  Group group(3);
  group.StartTogether(3);
  const uint64_t before = group.LookWhenLed().term();
  Writer writer(group);
  uint64_t handed_over = 0;
  for (uint64_t id = 1; id <= 3; ++id) {
    EXPECT_TRUE(Eventually([&] {
      const auto cluster = group.Look();
      int caught_up = 0;
      for (const auto& member : cluster.members()) {
        caught_up += member.reachable() && member.has_last_contact() && member.lag_entries() < 50;
      }
      return cluster.has_quorum() && caught_up == 3;
    }));
    handed_over += group.WaitForLeader() == id;
    EXPECT_EQ(group.Terminate(id), 0);
    group.Restart(id);
    const int written = writer.written();
    EXPECT_TRUE(Eventually([&] { return writer.written() > written; }));
  }
  writer.Stop();
  EXPECT_THAT(writer.failures(), testing::IsEmpty());
  std::printf("%d writes, %lu leaders handed over\n", writer.written(), handed_over);
  const auto cluster = group.LookWhenLed();
  EXPECT_NE(cluster.leader_id(), 0u);
  return cluster.term() == before + handed_over;
}

TEST(Membership, ARollingRestartFailsNoWriteAndRaisesTheTermOnceForEachHandOver) {
  EXPECT_TRUE(WithoutAnElection(RestartsByHandingOver));
}

TEST(Membership, ATransferMovesLeadershipToTheNodeThatWasNamed) {
  Group group(3);
  group.StartTogether(3);
  const uint64_t to = group.WaitForLeader() % 3 + 1;
  EXPECT_TRUE(group.Transferred(to));
}

TEST(Membership, ALearnerServesReadsAndNeverCounts) {
  Group group(3);
  group.StartTogether(2);
  group.Start(3, {"--join", group.Peer(1) + "," + group.Peer(2)});
  ASSERT_TRUE(group.Added(3));
  EXPECT_EQ(Group::Members(group.LookWhenLed()), "1 2 (3)");
  EXPECT_TRUE(Eventually([&] { return group.Connect(3)->ListExperiments({}).ok(); }));
  // One of two voters: no quorum, although two of three nodes run.
  group.node(1).Kill();
  EXPECT_TRUE(Eventually([&] { return !group.Look(2).has_quorum(); }));
  chaos::v1::GetClusterResponse cluster;
  EXPECT_TRUE(Eventually([&] {
    cluster = group.Look(3);
    return !cluster.has_quorum() && Group::Members(cluster) == "1 2 (3)";
  })) << "the status works without a quorum: "
      << cluster.DebugString();
}

TEST(Membership, RefusesWhatWouldLoseTheQuorumOrMakesNoSense) {
  Group group(4);
  group.StartTogether(3);
  EXPECT_EQ(ReasonOf(group.Add(2)), "MEMBER_EXISTS");
  EXPECT_EQ(ReasonOf(group.Promote(1)), "MEMBER_IS_VOTER");
  EXPECT_EQ(ReasonOf(group.Remove(7)), "MEMBER_NOT_FOUND");
  const uint64_t leader = group.WaitForLeader();
  const uint64_t dead = leader % 3 + 1;
  const uint64_t alive = 6 - leader - dead;
  group.node(dead).Kill();
  std::this_thread::sleep_for(std::chrono::seconds(2));
  Status refused;
  EXPECT_TRUE(Eventually([&] {
    refused = group.Remove(alive);
    const std::string why = fmt::format("node {} cannot be reached", dead);
    return refused.ok() || refused.ToString().find(why) != std::string::npos;
  })) << refused;
  EXPECT_EQ(ReasonOf(refused), "QUORUM_AT_RISK") << refused;
  EXPECT_EQ(Group::Members(group.LookWhenLed(leader)), "1 2 3");
}

TEST(Membership, ACommandThatStoppedHalfWayGoesOnWhenItIsGivenAgain) {
  Group group(5);
  group.StartTogether(3);
  group.Start(4, {"--join", group.Peer(1)});
  ASSERT_TRUE(group.Added(4));
  const std::vector<std::string> add = {"add", "4", group.Peer(4), "--promote"};
  const Ended went_on = ClusterCommand(group, add);
  EXPECT_EQ(went_on.code, 0) << went_on.text;
  EXPECT_THAT(went_on.text, HasSubstr("node 4 is a learner already\n"));
  EXPECT_THAT(went_on.text, HasSubstr("node 4 is a voter\n"));
  const Ended again = ClusterCommand(group, add);
  EXPECT_EQ(again.code, 0) << again.text;
  EXPECT_THAT(again.text, HasSubstr("node 4 is a voter already\n"));
  const Ended other = ClusterCommand(group, {"add", "4", group.Peer(5), "--promote"});
  EXPECT_EQ(other.code, 5) << "another address is another node: " << other.text;

  const uint64_t leader = group.WaitForLeader();
  const uint64_t old = leader == 4 ? 2 : 4;
  const std::vector<std::string> replace = {"replace", fmt::format("{}", old), "5", group.Peer(5)};
  group.Start(5, {"--join", group.Peer(1)});
  ASSERT_TRUE(group.Added(5));
  for (int run = 0; run < 2; ++run) {
    const Ended replaced = ClusterCommand(group, replace);
    EXPECT_EQ(replaced.code, 0) << replaced.text;
  }
  EXPECT_EQ(Group::Members(group.LookWhenLed(1)), old == 4 ? "1 2 3 5" : "1 3 4 5");
  EXPECT_EQ(ClusterCommand(group, {"remove", fmt::format("{}", old)}).code, 4);
}

TEST(Membership, AReplacementTakesNoVoteAwayFromAMemberThatIsNamedAsTheNewOne) {
  Group group(4);
  group.StartTogether(3);
  const auto replace = [&](uint64_t old_id, uint64_t new_id) {
    return ClusterCommand(group, {"replace", fmt::format("{}", old_id), fmt::format("{}", new_id),
                                  group.Peer(new_id)});
  };
  EXPECT_EQ(replace(2, 2).code, 2);
  const Ended member = replace(2, 3);
  EXPECT_EQ(member.code, 5) << member.text;
  EXPECT_THAT(member.text, HasSubstr("node 3 is a voter already"));
  EXPECT_THAT(member.text, HasSubstr("'faultline cluster remove 2'"));
  const Ended nobody = replace(9, 4);
  EXPECT_EQ(nobody.code, 4) << nobody.text;
  EXPECT_EQ(Group::Members(group.LookWhenLed(1)), "1 2 3");
}

TEST(Membership, APromotionWaitsForANodeThatIsStartedLate) {
  Group group(2);
  group.StartTogether(1);
  Process promotion({FAULTLINE_BIN_DIR "/faultline", "cluster", "add", "2", group.Peer(2),
                     "--promote", "--timeout", "120s", "--address", group.Api(1)},
                    group.Dir(1) + ".promotion");
  EXPECT_TRUE(Eventually([&] {
    return group.node(1).log().find("membership: refused: node 2 has the log up to") !=
           std::string::npos;
  })) << group.node(1).log();
  EXPECT_TRUE(promotion.running());
  group.Start(2, {"--join", group.Peer(1)});
  EXPECT_EQ(promotion.Wait(), 0) << promotion.log();
  EXPECT_THAT(promotion.log(), HasSubstr("waiting until it has them"));
  EXPECT_EQ(Group::Members(group.LookWhenLed(1)), "1 2");
}

}  // namespace
}  // namespace faultline::cluster
