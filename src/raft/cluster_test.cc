// Real nodes: RocksDB in temporary directories, gRPC over loopback, real time.
#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <future>

#include "raft/test_cluster.h"

namespace faultline::raft {
namespace {

using std::chrono::milliseconds;

std::vector<std::string> Numbered(int count) {
  std::vector<std::string> commands;
  for (int i = 0; i < count; ++i) commands.push_back(std::to_string(i));
  return commands;
}

TEST(RaftClusterTest, ThreeNodesElectALeaderAndApplyTheSameCommands) {
  Cluster cluster(3);
  cluster.StartAll();
  const auto commands = Numbered(50);
  for (const auto& command : commands) cluster.Commit(command);
  ASSERT_TRUE(cluster.WaitForApplied(commands.size()));
  for (uint64_t id = 1; id <= 3; ++id) EXPECT_EQ(cluster.Applied(id), commands);
}

TEST(RaftClusterTest, WhenTheLeaderStopsAnotherTakesOverAndNothingAcknowledgedIsLost) {
  Cluster cluster(3);
  cluster.StartAll();
  const auto commands = Numbered(30);
  for (int i = 0; i < 30; ++i) {
    if (i == 10 || i == 20) {
      const uint64_t leader = cluster.WaitForLeader();
      ASSERT_NE(leader, 0u);
      cluster.Stop(leader);
      cluster.Commit(commands[static_cast<size_t>(i)]);
      cluster.Start(leader);
    } else {
      cluster.Commit(commands[static_cast<size_t>(i)]);
    }
  }
  ASSERT_TRUE(cluster.WaitForApplied(commands.size()));
  for (uint64_t id = 1; id <= 3; ++id) {
    EXPECT_EQ(cluster.Applied(id), commands);
    EXPECT_TRUE(cluster.machine(id).in_order());
  }
}

TEST(RaftClusterTest, AWholeClusterThatIsStoppedComesBackWithAllThatWasAcknowledged) {
  Cluster cluster(3);
  cluster.StartAll();
  const auto commands = Numbered(20);
  for (const auto& command : commands) cluster.Commit(command);
  for (uint64_t id = 1; id <= 3; ++id) cluster.Stop(id);
  cluster.StartAll();
  ASSERT_TRUE(cluster.WaitForApplied(commands.size()));
  for (uint64_t id = 1; id <= 3; ++id) EXPECT_EQ(cluster.Applied(id), commands);
}

// Starts a cluster of three, in which a follower is away for 100 commands and some snapshots. Its
// id, once it has caught up; 0 when it does not.
uint64_t OneThatWasAway(Cluster& cluster) {
  cluster.options().snapshot_every = 20;
  cluster.options().snapshot_trailing = 5;
  cluster.StartAll();
  cluster.Commit("first");
  if (!cluster.WaitForApplied(1) || !cluster.WaitForStored()) return 0;
  const uint64_t away = cluster.WaitForLeader() % 3 + 1;
  cluster.Stop(away);
  for (const auto& command : Numbered(100)) cluster.Commit(command);
  if (!cluster.WaitForSnapshots()) return 0;
  cluster.Start(away);
  if (!cluster.WaitForApplied(101)) return 0;
  EXPECT_EQ(cluster.Applied(away), cluster.Applied(away % 3 + 1));
  return away;
}

TEST(RaftClusterTest, AFollowerThatWasAwayTooLongCatchesUpBySnapshot) {
  Cluster cluster(3);
  cluster.options().snapshot_trailing_most = 5;
  const uint64_t away = OneThatWasAway(cluster);
  ASSERT_NE(away, 0u);
  EXPECT_GE(cluster.machine(away).restores(), 1);
  // It counts in a quorum again.
  const uint64_t other = away % 3 + 1;
  cluster.Stop(other);
  cluster.Commit("last");
  EXPECT_TRUE(cluster.WaitForApplied(102));
}

TEST(RaftClusterTest, TheLogIsKeptForAFollowerThatIsAwayForAWhile) {
  Cluster cluster(3);
  // A leader keeps it, and what followed until then has kept less.
  cluster.options().election_timeout = milliseconds(3'000);
  const uint64_t away = OneThatWasAway(cluster);
  ASSERT_NE(away, 0u);
  EXPECT_EQ(cluster.machine(away).restores(), 0);
}

TEST(RaftClusterTest, AllNodesRestartAfterTheLogWasCompacted) {
  Cluster cluster(3);
  cluster.options().snapshot_every = 20;
  cluster.options().snapshot_trailing = 5;
  cluster.StartAll();
  const auto commands = Numbered(90);
  for (const auto& command : commands) cluster.Commit(command);
  ASSERT_TRUE(cluster.WaitForApplied(commands.size()));
  ASSERT_TRUE(cluster.WaitForSnapshots());
  ASSERT_TRUE(cluster.WaitForStored()) << "else a member needs another one's snapshot afterwards";
  for (uint64_t id = 1; id <= 3; ++id) cluster.Stop(id);
  cluster.StartAll();
  cluster.Commit("after");
  ASSERT_TRUE(cluster.WaitForApplied(commands.size() + 1));
  for (uint64_t id = 1; id <= 3; ++id) {
    EXPECT_EQ(cluster.machine(id).restores(), 1);
    EXPECT_EQ(cluster.Applied(id).size(), commands.size() + 1);
  }
}

TEST(RaftClusterTest, ALeaderWithoutAQuorumAgesAndAnswersNoReads) {
  Cluster cluster(3);
  cluster.StartAll();
  uint64_t leader = 0;
  // One that is deposed meanwhile answers none.
  ASSERT_TRUE(Cluster::WaitUntil([&] {
    leader = cluster.WaitForLeader();
    if (leader == 0) return false;
    std::promise<Status> read;
    cluster.node(leader).ReadBarrier([&](const Status& status) { read.set_value(status); });
    return read.get_future().get().ok();
  }));
  for (uint64_t id = 1; id <= 3; ++id) {
    if (id != leader) cluster.Stop(id);
  }
  EXPECT_TRUE(
      Cluster::WaitUntil([&] { return cluster.node(leader).QuorumAge() > milliseconds(200); }));
  std::promise<Status> refused;
  cluster.node(leader).ReadBarrier([&](Status status) { refused.set_value(status); });
  EXPECT_EQ(refused.get_future().get().code(), StatusCode::kUnavailable);
  EXPECT_TRUE(
      Cluster::WaitUntil([&] { return cluster.node(leader).GetView().role != Role::kLeader; }));
  EXPECT_EQ(cluster.node(leader).QuorumAge(), std::chrono::nanoseconds::max());
}

TEST(RaftClusterTest, AFollowerWhoseUnacknowledgedRecordIsTornGoesOnUnderTheSameLeader) {
  Cluster cluster(3);
  cluster.StartAll();
  for (const auto& command : Numbered(20)) cluster.Commit(command);
  ASSERT_TRUE(cluster.WaitForApplied(20));
  const uint64_t leader = cluster.WaitForLeader();
  const uint64_t follower = leader % 3 + 1;
  cluster.Stop(follower);
  // One more record, of which only the beginning reached the disk.
  std::filesystem::path newest;
  for (const auto& file : std::filesystem::directory_iterator(cluster.dir(follower))) {
    if (file.path().extension() == ".log" && file.path() > newest) newest = file.path();
  }
  std::array<char, 10> begins{};  // a record's header, and three of its bytes
  std::ifstream(newest, std::ios::binary).read(begins.data(), begins.size());
  std::ofstream(newest, std::ios::binary | std::ios::app).write(begins.data(), begins.size());
  cluster.Start(follower);
  cluster.Commit("20");
  ASSERT_TRUE(cluster.WaitForApplied(21));
  EXPECT_EQ(cluster.Applied(follower), Numbered(21));
}

TEST(RaftClusterTest, FiveNodesGoOnWithoutTwo) {
  Cluster cluster(5);
  cluster.StartAll();
  cluster.Commit("0");
  cluster.Stop(cluster.WaitForLeader());
  cluster.Commit("1");
  cluster.Stop(cluster.WaitForLeader());
  cluster.Commit("2");
  ASSERT_TRUE(cluster.WaitForApplied(3));
}

}  // namespace
}  // namespace faultline::raft
