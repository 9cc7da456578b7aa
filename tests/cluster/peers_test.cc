// Which nodes take each other as members, and how they find each other.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <thread>

#include "tests/cluster/group.h"

namespace faultline::cluster {
namespace {

using testing::HasSubstr;

bool Said(Group& group, uint64_t id, const std::string& text) {
  return group.node(id).log().find(text) != std::string::npos;
}

// Empty when there is no such file.
std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(Peers, ASecondNodeWithTheSameIdIsRefusedAtBothEnds) {
  Group group(4);
  group.StartTogether(3);
  const uint64_t leader = group.WaitForLeader();
  const uint64_t id = leader % 3 + 1;
  group.Terminate(id);
  // The same id and address over another, empty directory: a node that lost its votes.
  group.Start(id, {"--members", group.MembersFlag(3)}, group.Dir(4));
  EXPECT_TRUE(Eventually([&] { return Said(group, id, "refuses this node: node"); }))
      << group.node(id).log();
  EXPECT_TRUE(
      Eventually([&] { return group.Look(leader).refused_peers().contains("DUPLICATE_ID"); }));
  // The others go on with a leader, be it another one on a busy machine, and are left in peace.
  EXPECT_TRUE(Eventually([&] {
    const auto before = group.LookWhenLed(leader);
    std::this_thread::sleep_for(std::chrono::seconds(2));
    const auto after = group.LookWhenLed(leader);
    return before.leader_id() != 0 && before.leader_id() != id &&
           after.leader_id() == before.leader_id() && after.term() == before.term();
  }));
}

TEST(Peers, ANodeThatLostItsDirectoryIsRefusedByOthersThatHaveBeenStartedAgain) {
  Group group(4);
  group.StartTogether(3);
  const uint64_t lost = group.WaitForLeader() % 3 + 1;
  // Each has met each of the others.
  const auto knows_both = [&](uint64_t id) {
    const std::string peers = ReadAll(group.Dir(id) + "/peers");
    return std::count(peers.begin(), peers.end(), '\n') == 4;
  };
  for (uint64_t id = 1; id <= 3; ++id) {
    EXPECT_TRUE(Eventually([&] { return knows_both(id); })) << ReadAll(group.Dir(id) + "/peers");
  }
  for (uint64_t id = 1; id <= 3; ++id) EXPECT_EQ(group.Terminate(id), 0);
  // Now the empty directory comes first.
  group.Start(lost, {"--members", group.MembersFlag(3)}, group.Dir(4));
  for (uint64_t id = 1; id <= 3; ++id) {
    if (id != lost) group.Restart(id);
  }
  EXPECT_TRUE(Eventually([&] { return Said(group, lost, "refuses this node: node"); }))
      << group.node(lost).log();
  const uint64_t leader = group.WaitForLeader();
  ASSERT_NE(leader, lost) << "they are a majority without it";
  ASSERT_NE(leader, 0u);
  // The other one need not hear from it.
  EXPECT_TRUE(Eventually([&] {
    return group.Look(group.WaitForLeader(leader)).refused_peers().contains("DUPLICATE_ID");
  })) << group.node(leader).log();

  // With its own directory it is taken again, and what was kept is no damage to it.
  EXPECT_EQ(group.Terminate(lost), 0);
  const Ended checked = RunToEnd("faultline-controller", {"check", group.Dir(lost)});
  EXPECT_EQ(checked.code, 0) << checked.text;
  EXPECT_THAT(checked.text, HasSubstr("nothing is damaged"));
  group.Start(lost, {"--members", group.MembersFlag(3)});
  EXPECT_TRUE(Eventually([&] {
    const auto cluster = group.Look(leader);
    int answering = 0;
    for (const auto& member : cluster.members()) {
      answering += member.node_id() == leader || member.has_last_contact();
    }
    return answering == 3;
  })) << group.node(lost).log();
}

TEST(Peers, ANodeOfAnotherClusterIsRefusedAtBothEnds) {
  Group group(3);
  group.StartTogether(2);
  // A cluster of its own, whose directory is then used with the addresses of the first.
  group.Start(3, {"--members", "3=" + group.Peer(3)});
  ASSERT_TRUE(Eventually([&] { return !group.Look(3).cluster_id().empty(); }));
  chaos::v1::AddMemberRequest request;
  request.set_node_id(1);
  request.set_address(group.Peer(1));
  ASSERT_TRUE(group.Connect(3)->AddMember(request).ok());
  EXPECT_TRUE(Eventually([&] { return group.Look(1).refused_peers().contains("OTHER_CLUSTER"); }));
  EXPECT_TRUE(Eventually([&] {
    return group.node(3).log().find("refuses this node: node 3 comes from cluster") !=
           std::string::npos;
  })) << group.node(3).log();
  EXPECT_TRUE(Eventually([&] {
    return Said(group, 1, "refused a node: node 3 comes from cluster");
  })) << group.node(1).log();
}

TEST(Peers, ADirectoryOfAnotherNodeIsRefusedAtTheStart) {
  Group group(2);
  group.Start(1, {"--members", "1=" + group.Peer(1)});
  ASSERT_EQ(group.WaitForLeader(), 1u);
  group.Terminate(1);
  group.Start(2, {"--members", "2=" + group.Peer(2)}, group.Dir(1));
  EXPECT_EQ(group.node(2).Wait(), 2);
  EXPECT_THAT(group.node(2).log(), HasSubstr("is node 1's; this is node 2"));
}

TEST(Peers, FindEachOtherByName) {
  Group group(3);
  group.StartTogether(3, "localhost");
  const auto cluster = group.Look(group.WaitForLeader());
  ASSERT_EQ(cluster.members_size(), 3);
  EXPECT_THAT(cluster.members(0).address(), testing::StartsWith("localhost:"));
}

TEST(Peers, AnAddressThatDoesNotHelpIsSaidByWhoIsToJoin) {
  Group group(2);
  group.Start(2, {"--join", "no-such-host.invalid:7401"});
  EXPECT_TRUE(Eventually([&] { return Said(group, 2, "no-such-host.invalid:7401"); }))
      << group.node(2).log();
}

}  // namespace
}  // namespace faultline::cluster
