#include "raft/node.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "raft/test_dir.h"
#include "raft/test_machine.h"

namespace faultline::raft {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

class NoTransport final : public Transport {
 public:
  void Send(const Member&, std::string) override {}
  void SetMembers(const std::vector<Member>& all) override { members = all.size(); }
  Status FetchSnapshot(const Member&, const Snapshot&, uint64_t, const ByteSink&) override {
    return absl::UnavailableError("there is nobody");
  }
  void StopFetching() override {}

  std::atomic<size_t> members = 0;
};

Options SingleOptions(const std::string& dir) {
  Options options;
  options.id = 1;
  options.members = {{1, "127.0.0.1:1"}};
  options.data_dir = dir;
  // A disk that is busy with something else may take seconds: it hangs after two of these.
  options.election_timeout = std::chrono::seconds(10);
  return options;
}

// A node's snapshots are written beside what it does, and count once its log tells of them.
void WaitForSnapshot(const Node& node) {
  for (int i = 0; i < 6'000 && node.meters().snapshot_index.value() == 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  ASSERT_GT(node.meters().snapshot_index.value(), 0);
}

StatusOr<Node::Committed> ProposeAndWait(Node& node, const std::string& command) {
  std::promise<StatusOr<Node::Committed>> promise;
  auto future = promise.get_future();
  node.Propose(command, [&](StatusOr<Node::Committed> result) { promise.set_value(result); });
  return future.get();
}

Status BarrierAndWait(Node& node) {
  std::promise<Status> promise;
  auto future = promise.get_future();
  node.ReadBarrier([&](Status status) { promise.set_value(status); });
  return future.get();
}

TEST(NodeTest, ASingleNodeLeadsAsSoonAsItHasStarted) {
  const TestDir dir;
  TestMachine machine;
  NoTransport transport;
  auto node = Node::Start(SingleOptions(dir.path()), &machine, &transport);
  ASSERT_TRUE(node.ok()) << node.status();
  EXPECT_EQ((*node)->GetView().role, Role::kLeader);
  EXPECT_EQ((*node)->GetView().leader_id, 1u);
  EXPECT_EQ((*node)->GetView().leader_address, "127.0.0.1:1");
  EXPECT_EQ((*node)->QuorumAge(), nanoseconds::zero());
}

TEST(NodeTest, TheTransportIsToldTheMembersOfEachConfiguration) {
  const TestDir dir;
  TestMachine machine;
  NoTransport transport;
  auto node = Node::Start(SingleOptions(dir.path()), &machine, &transport);
  ASSERT_TRUE(node.ok()) << node.status();
  EXPECT_EQ(transport.members, 1u);
  std::promise<Status> added;
  (*node)->Change({MemberChange::Kind::kAdd, 2, "127.0.0.1:2"},
                  [&](const Status& status) { added.set_value(status); });
  EXPECT_TRUE(added.get_future().get().ok());
  EXPECT_EQ(transport.members, 2u);
}

TEST(NodeTest, ACommittedCommandAnswersWithWhatApplyReturned) {
  const TestDir dir;
  TestMachine machine;
  NoTransport transport;
  auto node = Node::Start(SingleOptions(dir.path()), &machine, &transport);
  ASSERT_TRUE(node.ok()) << node.status();
  const auto committed = ProposeAndWait(**node, "one");
  ASSERT_TRUE(committed.ok()) << committed.status();
  EXPECT_EQ(committed->result, "applied one");
  EXPECT_EQ(committed->index, 2u);
  EXPECT_TRUE(BarrierAndWait(**node).ok());
  EXPECT_EQ(machine.commands(), std::vector<std::string>{"one"});
}

TEST(NodeTest, ARestartedNodeAppliesAgainAllThatWasAcknowledged) {
  const TestDir dir;
  NoTransport transport;
  std::vector<std::string> commands;
  for (int round = 0; round < 3; ++round) {
    TestMachine machine;
    auto node = Node::Start(SingleOptions(dir.path()), &machine, &transport);
    ASSERT_TRUE(node.ok()) << node.status();
    ASSERT_TRUE(BarrierAndWait(**node).ok());
    EXPECT_EQ(machine.commands(), commands);
    for (int i = 0; i < 5; ++i) {
      commands.push_back(fmt::format("{}.{}", round, i));
      ASSERT_TRUE(ProposeAndWait(**node, commands.back()).ok());
    }
  }
}

TEST(NodeTest, ARestartAfterSnapshotsContinuesFromTheNewestAndTheLogAfterIt) {
  const TestDir dir;
  NoTransport transport;
  Options options = SingleOptions(dir.path());
  options.snapshot_every = 10;
  options.snapshot_trailing = 3;
  std::vector<std::string> commands;
  for (int round = 0; round < 3; ++round) {
    TestMachine machine;
    auto node = Node::Start(options, &machine, &transport);
    ASSERT_TRUE(node.ok()) << node.status();
    ASSERT_TRUE(BarrierAndWait(**node).ok());
    EXPECT_EQ(machine.restores(), round == 0 ? 0 : 1);
    EXPECT_EQ(machine.commands(), commands);
    for (int i = 0; i < 27; ++i) {
      commands.push_back(fmt::format("{}.{}", round, i));
      ASSERT_TRUE(ProposeAndWait(**node, commands.back()).ok());
    }
    ASSERT_NO_FATAL_FAILURE(WaitForSnapshot(**node));
    for (int i = 0; i < 5; ++i) {
      commands.push_back(fmt::format("{} after it", i));
      ASSERT_TRUE(ProposeAndWait(**node, commands.back()).ok());
    }
    EXPECT_TRUE(machine.in_order());
  }
}

TEST(NodeTest, AFollowerRefusesProposalsAndReadsWithTheReasonNotLeader) {
  const TestDir dir;
  TestMachine machine;
  NoTransport transport;
  Options options = SingleOptions(dir.path());
  options.members.push_back({2, "127.0.0.1:2"});
  options.members.push_back({3, "127.0.0.1:3"});
  auto node = Node::Start(options, &machine, &transport);
  ASSERT_TRUE(node.ok()) << node.status();
  EXPECT_EQ((*node)->QuorumAge(), nanoseconds::max());
  const auto committed = ProposeAndWait(**node, "one");
  EXPECT_EQ(committed.status().code(), StatusCode::kUnavailable);
  ASSERT_TRUE(DetailOf(committed.status()).has_value());
  EXPECT_EQ(DetailOf(committed.status())->reason(), "NOT_LEADER");
  EXPECT_EQ(DetailOf(BarrierAndWait(**node))->reason(), "NOT_LEADER");
}

TEST(NodeTest, TheStoredConfigurationWinsOverTheOptions) {
  const TestDir dir;
  TestMachine machine;
  NoTransport transport;
  ASSERT_TRUE(Node::Start(SingleOptions(dir.path()), &machine, &transport).ok());
  Options options = SingleOptions(dir.path());
  options.members = {{1, "127.0.0.1:9"}, {2, "127.0.0.1:10"}};
  auto node = Node::Start(options, &machine, &transport);
  ASSERT_TRUE(node.ok()) << node.status();
  EXPECT_EQ((*node)->GetView().leader_address, "127.0.0.1:1");
  node->reset();
  options.id = 2;
  const auto other = Node::Start(options, &machine, &transport);
  EXPECT_EQ(other.status().code(), StatusCode::kFailedPrecondition) << other.status();
}

TEST(NodeTest, AStartThatFailsLeavesNothingRunningAndTheDirectoryFree) {
  const TestDir dir;
  TestMachine machine;
  NoTransport transport;
  ASSERT_TRUE(Node::Start(SingleOptions(dir.path()), &machine, &transport).ok());
  Options stranger = SingleOptions(dir.path());
  stranger.id = 2;
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(Node::Start(stranger, &machine, &transport).status().code(),
              StatusCode::kFailedPrecondition);
  }
  EXPECT_TRUE(Node::Start(SingleOptions(dir.path()), &machine, &transport).ok());
}

TEST(NodeTest, WrongOptionsAreRefused) {
  const TestDir dir;
  TestMachine machine;
  NoTransport transport;
  Options options = SingleOptions(dir.path() + "/sub");
  options.members = {{2, "127.0.0.1:2"}};
  EXPECT_EQ(Node::Start(options, &machine, &transport).status().code(),
            StatusCode::kInvalidArgument);
  options.members = {{1, "a:1"}, {1, "b:1"}};
  EXPECT_EQ(Node::Start(options, &machine, &transport).status().code(),
            StatusCode::kInvalidArgument);
  options = SingleOptions(dir.path() + "/sub");
  options.election_timeout = milliseconds(10);
  EXPECT_EQ(Node::Start(options, &machine, &transport).status().code(),
            StatusCode::kInvalidArgument);
}

TEST(NodeTest, ProposalsThatWaitWhenTheNodeIsDestroyedAreAnswered) {
  const TestDir dir;
  TestMachine machine;
  NoTransport transport;
  std::atomic<int> answers = 0;
  {
    auto node = Node::Start(SingleOptions(dir.path()), &machine, &transport);
    ASSERT_TRUE(node.ok()) << node.status();
    for (int i = 0; i < 100; ++i) {
      (*node)->Propose("x", [&](const StatusOr<Node::Committed>&) { ++answers; });
    }
  }
  EXPECT_EQ(answers, 100);
}

TEST(NodeTest, TheObserverSeesThePresentViewAndEachChange) {
  const TestDir dir;
  TestMachine machine;
  NoTransport transport;
  std::promise<View> seen;  // outlives the node, which observes until its end
  auto node = Node::Start(SingleOptions(dir.path()), &machine, &transport);
  ASSERT_TRUE(node.ok()) << node.status();
  (*node)->ObserveView([&](const View& view) { seen.set_value(view); });
  EXPECT_EQ(seen.get_future().get().role, Role::kLeader);
}

}  // namespace
}  // namespace faultline::raft
