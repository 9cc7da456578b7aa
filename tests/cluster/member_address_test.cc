// Real nodes that move to other addresses, while clients write.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/cluster/group.h"
#include "tests/cluster/writer.h"

namespace faultline::cluster {
namespace {

using testing::HasSubstr;

// Whether every member answers there and has what is committed, the node at that address.
bool AllFollow(const chaos::v1::GetClusterResponse& cluster, uint64_t id,
               const std::string& address) {
  return cluster.has_quorum() && cluster.members_size() == 3 &&
         std::ranges::all_of(cluster.members(), [&](const auto& member) {
           return member.reachable() && member.has_last_contact() && member.lag_entries() < 50 &&
                  (member.node_id() != id || member.address() == address);
         });
}

TEST(MemberAddresses, EachNodeMovesToAnotherPortUnderWritesAndNoneFails) {
  Group group(6);  // three nodes, and where each of them moves to
  group.StartTogether(3);
  Writer writer(group);
  for (uint64_t id = 1; id <= 3; ++id) {
    const uint64_t at = id % 3 + 1;
    const std::string to = group.Peer(id + 3);
    const Ended moved = ClusterCommand(group, {"address", fmt::format("{}", id), to}, at);
    ASSERT_EQ(moved.code, 0) << moved.text;
    EXPECT_THAT(moved.text, HasSubstr(fmt::format("node {} is reached at {}\n", id, to)));
    EXPECT_EQ(group.Terminate(id), 0);
    group.Move(id, id + 3);
    group.Restart(id);
    EXPECT_TRUE(Eventually([&] { return AllFollow(group.Look(at), id, to); }))
        << group.Look(at).DebugString() << group.node(id).log();
    const int written = writer.written();
    EXPECT_TRUE(Eventually([&] { return writer.written() > written; }));
  }
  writer.Stop();
  EXPECT_THAT(writer.failures(), testing::IsEmpty());

  // The two that are left find each other where they are.
  group.node(1).Kill();
  EXPECT_GE(group.WaitForLeader(2), 2u);
  chaos::v1::StopExperimentRequest write;
  write.set_all(true);
  for (const uint64_t id : {2, 3}) {
    EXPECT_TRUE(Eventually([&] { return group.Connect(id)->StopExperiment(write).ok(); }));
    EXPECT_TRUE(Eventually([&] { return group.Connect(id)->ListExperiments({}).ok(); }));
  }
}

}  // namespace
}  // namespace faultline::cluster
