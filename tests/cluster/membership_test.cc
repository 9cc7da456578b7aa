// Real nodes that join, are promoted, replaced and removed, and hand over, while clients write.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <map>
#include <thread>

#include "client/client.h"
#include "tests/cluster/cluster.h"
#include "tests/ports/free_ports.h"

namespace faultline::cluster {
namespace {

using testing::HasSubstr;

std::string ReasonOf(const Status& status) {
  const auto detail = DetailOf(status);
  return detail ? detail->reason() : "";
}

// Nodes that begin at different times and under different conditions.
class Group {
 public:
  explicit Group(int most) : ports_(FreePorts(2 * most)) {}

  std::string Api(uint64_t id) const { return fmt::format("127.0.0.1:{}", ports_[2 * id - 2]); }
  std::string Peer(uint64_t id) const { return fmt::format("127.0.0.1:{}", ports_[2 * id - 1]); }
  std::string Dir(uint64_t id) const { return fmt::format("{}/node-{}", directory_.path(), id); }

  // `how`: {"--members", ...} or {"--join", ...} or nothing.
  void Start(uint64_t id, const std::vector<std::string>& how, const std::string& dir = "") {
    std::vector<std::string> command = {std::string(FAULTLINE_BIN_DIR) + "/faultline-controller",
                                        "--id",
                                        fmt::format("{}", id),
                                        "--data-dir",
                                        dir.empty() ? Dir(id) : dir,
                                        "--api-listen",
                                        Api(id),
                                        "--peer-listen",
                                        Peer(id)};
    command.insert(command.end(), how.begin(), how.end());
    how_[id] = how;
    nodes_[id] =
        std::make_unique<Process>(command, fmt::format("{}/node-{}.log", directory_.path(), id));
  }
  void Restart(uint64_t id) { Start(id, how_[id]); }
  void StartTogether(uint64_t count) {
    std::string members;
    for (uint64_t id = 1; id <= count; ++id) {
      members += fmt::format("{}{}={}", id == 1 ? "" : ",", id, Peer(id));
    }
    for (uint64_t id = 1; id <= count; ++id) Start(id, {"--members", members});
    EXPECT_NE(WaitForLeader(), 0u);
  }
  Process& node(uint64_t id) { return *nodes_.at(id); }
  // With what came from a file, ends as after SIGTERM; its exit code.
  int Terminate(uint64_t id) {
    node(id).Signal(SIGTERM);
    return node(id).Wait();
  }

  // Of all nodes that were started, or of one.
  std::unique_ptr<client::Client> Connect(uint64_t only = 0) const {
    client::Options options;
    for (const auto& [id, process] : nodes_) {
      if (only != 0 && id != only) continue;
      options.addresses += (options.addresses.empty() ? "" : ",") + Api(id);
    }
    options.timeout = std::chrono::seconds(20);
    auto connected = client::Client::Create(options);
    EXPECT_TRUE(connected.ok()) << connected.status();
    return *std::move(connected);
  }

  chaos::v1::GetClusterResponse Look(uint64_t at = 0) const {
    const auto cluster = Connect(at)->GetCluster({});
    return cluster.ok() ? *cluster : chaos::v1::GetClusterResponse();
  }
  uint64_t WaitForLeader() const {
    uint64_t leader = 0;
    Eventually([&] {
      const auto cluster = Look();
      leader = cluster.has_quorum() ? cluster.leader_id() : 0;
      return leader != 0;
    });
    return leader;
  }

  Status Add(uint64_t id) {
    chaos::v1::AddMemberRequest request;
    request.set_node_id(id);
    request.set_address(Peer(id));
    return Connect()->AddMember(request).status();
  }
  Status Promote(uint64_t id) {
    chaos::v1::PromoteMemberRequest request;
    request.set_node_id(id);
    return Connect()->PromoteMember(request).status();
  }
  Status Remove(uint64_t id) {
    chaos::v1::RemoveMemberRequest request;
    request.set_node_id(id);
    return Connect()->RemoveMember(request).status();
  }
  Status Transfer(uint64_t to) {
    chaos::v1::TransferLeadershipRequest request;
    request.set_node_id(to);
    return Connect()->TransferLeadership(request).status();
  }
  // A new node, from its start to its vote.
  void Grow(uint64_t id) {
    Start(id, {"--join", Peer(1)});
    ASSERT_TRUE(Add(id).ok()) << id;
    const Status promoted = Promote(id);
    ASSERT_TRUE(promoted.ok()) << promoted << node(id).log();
  }

  static std::string Members(const chaos::v1::GetClusterResponse& cluster) {
    std::string text;
    for (const auto& member : cluster.members()) {
      if (!text.empty()) text += ' ';
      text += member.voter() ? fmt::format("{}", member.node_id())
                             : fmt::format("({})", member.node_id());
    }
    return text;
  }

 private:
  const std::vector<int> ports_;
  TempDir directory_;
  std::map<uint64_t, std::vector<std::string>> how_;
  std::map<uint64_t, std::unique_ptr<Process>> nodes_;
};

// Stops experiments that are not there, one call after another, as long as it lives: each is a
// command in the log. Retries are the client's own.
class Writer {
 public:
  explicit Writer(const Group& group) : client_(group.Connect()), thread_([this] { Run(); }) {}
  ~Writer() { Stop(); }
  void Stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }
  int written() const { return written_; }
  const std::vector<std::string>& failures() const { return failures_; }

 private:
  void Run() {
    chaos::v1::StopExperimentRequest request;
    request.set_all(true);
    while (!stopping_) {
      const auto answer = client_->StopExperiment(request);
      if (answer.ok()) {
        ++written_;
      } else {
        failures_.push_back(answer.status().ToString());
      }
    }
  }

  std::unique_ptr<client::Client> client_;
  std::atomic<bool> stopping_{false};
  std::atomic<int> written_{0};
  std::vector<std::string> failures_;
  std::thread thread_;
};

TEST(Membership, GrowsFromOneToFiveUnderWritesAndNoneFails) {
  Group group(5);
  group.Start(1, {"--members", "1=" + group.Peer(1)});
  ASSERT_EQ(group.WaitForLeader(), 1u);
  Writer writer(group);
  for (uint64_t id = 2; id <= 5; ++id) {
    const int before = writer.written();
    group.Grow(id);
    if (testing::Test::HasFatalFailure()) return;
    EXPECT_TRUE(Eventually([&] { return writer.written() > before; }));
  }
  writer.Stop();
  EXPECT_THAT(writer.failures(), testing::IsEmpty());
  const auto cluster = group.Look();
  EXPECT_EQ(Group::Members(cluster), "1 2 3 4 5");
  EXPECT_EQ(cluster.term(), 1u) << "growing costs no election";
  EXPECT_EQ(cluster.leader_id(), 1u);
  for (const auto& member : cluster.members()) {
    EXPECT_TRUE(member.reachable());
    EXPECT_NE(member.version(), "");
  }
  // Two of five are gone: the others go on.
  group.node(1).Kill();
  group.node(2).Kill();
  EXPECT_GE(group.WaitForLeader(), 3u);
}

TEST(Membership, ADeadNodeIsReplacedAndComesBackToARefusalAtBothEnds) {
  Group group(4);
  group.StartTogether(3);
  const uint64_t leader = group.WaitForLeader();
  const uint64_t dead = leader % 3 + 1;
  group.node(dead).Kill();
  group.Start(4, {"--join", group.Peer(leader)});
  ASSERT_TRUE(group.Add(4).ok());
  const Status promoted = group.Promote(4);
  ASSERT_TRUE(promoted.ok()) << promoted;
  const Status removed = group.Remove(dead);
  ASSERT_TRUE(removed.ok()) << removed;
  const uint64_t term = group.Look(leader).term();

  group.Restart(dead);
  EXPECT_TRUE(Eventually([&] {
    return group.node(dead).log().find("is no member of the cluster any more") != std::string::npos;
  }));
  std::this_thread::sleep_for(std::chrono::seconds(2));
  const auto cluster = group.Look(leader);
  EXPECT_EQ(cluster.term(), term) << "it disturbs nobody";
  EXPECT_EQ(cluster.leader_id(), leader);
  EXPECT_TRUE(group.Look(dead).removed());
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
  const Status removed = group.Remove(leader);
  ASSERT_TRUE(removed.ok()) << removed;
  const uint64_t other = leader % 3 + 1;
  EXPECT_TRUE(Eventually([&] {
    const auto cluster = group.Look(other);
    return cluster.has_quorum() && cluster.leader_id() != leader && cluster.members_size() == 2;
  }));
}

TEST(Membership, ARollingRestartFailsNoWriteAndRaisesTheTermOnceForEachHandOver) {
  Group group(3);
  group.StartTogether(3);
  const uint64_t before = group.Look().term();
  Writer writer(group);
  uint64_t handed_over = 0;
  for (uint64_t id = 1; id <= 3; ++id) {
    ASSERT_TRUE(Eventually([&] {
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
  EXPECT_NE(group.WaitForLeader(), 0u);
  EXPECT_EQ(group.Look().term(), before + handed_over) << "no election besides";
  std::printf("%d writes, %lu leaders handed over\n", writer.written(), handed_over);
}

TEST(Membership, ATransferMovesLeadershipToTheNodeThatWasNamed) {
  Group group(3);
  group.StartTogether(3);
  const uint64_t to = group.WaitForLeader() % 3 + 1;
  const Status moved = group.Transfer(to);
  ASSERT_TRUE(moved.ok()) << moved;
  EXPECT_TRUE(Eventually([&] { return group.Look().leader_id() == to; }));
}

TEST(Membership, ALearnerServesReadsAndNeverCounts) {
  Group group(3);
  group.StartTogether(2);
  group.Start(3, {"--join", group.Peer(1) + "," + group.Peer(2)});
  ASSERT_TRUE(group.Add(3).ok());
  EXPECT_EQ(Group::Members(group.Look()), "1 2 (3)");
  EXPECT_TRUE(Eventually([&] { return group.Connect(3)->ListExperiments({}).ok(); }));
  // One of two voters: no quorum, although two of three nodes run.
  group.node(1).Kill();
  EXPECT_TRUE(Eventually([&] { return !group.Look(2).has_quorum(); }));
  const auto cluster = group.Look(3);
  EXPECT_FALSE(cluster.has_quorum());
  EXPECT_EQ(Group::Members(cluster), "1 2 (3)") << "the status works without a quorum";
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
  const Status refused = group.Remove(alive);
  EXPECT_EQ(ReasonOf(refused), "QUORUM_AT_RISK") << refused;
  EXPECT_THAT(refused.ToString(), HasSubstr(fmt::format("node {} cannot be reached", dead)));
  EXPECT_EQ(Group::Members(group.Look(leader)), "1 2 3");
}

TEST(Membership, ASecondNodeWithTheSameIdIsRefusedAtBothEnds) {
  Group group(4);
  group.StartTogether(3);
  const uint64_t leader = group.WaitForLeader();
  const uint64_t id = leader % 3 + 1;
  group.Terminate(id);
  // The same id and address over another, empty directory: a node that lost its votes.
  std::string members;
  for (uint64_t other = 1; other <= 3; ++other) {
    members += fmt::format("{}{}={}", other == 1 ? "" : ",", other, group.Peer(other));
  }
  group.Start(id, {"--members", members}, group.Dir(4));
  EXPECT_TRUE(Eventually([&] {
    return group.node(id).log().find("refuses this node: node") != std::string::npos;
  })) << group.node(id).log();
  EXPECT_TRUE(
      Eventually([&] { return group.Look(leader).refused_peers().contains("DUPLICATE_ID"); }));
  EXPECT_EQ(group.Look(leader).leader_id(), leader);
}

TEST(Membership, ANodeOfAnotherClusterIsRefusedAtBothEnds) {
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
  EXPECT_THAT(group.node(1).log(), HasSubstr("refused a node: node 3 comes from cluster"));
}

TEST(Membership, ADirectoryOfAnotherNodeIsRefusedAtTheStart) {
  Group group(2);
  group.Start(1, {"--members", "1=" + group.Peer(1)});
  ASSERT_EQ(group.WaitForLeader(), 1u);
  group.Terminate(1);
  group.Start(2, {"--members", "2=" + group.Peer(2)}, group.Dir(1));
  EXPECT_EQ(group.node(2).Wait(), 2);
  EXPECT_THAT(group.node(2).log(), HasSubstr("is node 1's; this is node 2"));
}

TEST(Membership, AnAddressThatDoesNotResolveIsSaid) {
  Group group(2);
  group.Start(2, {"--join", "no-such-host.invalid:7401"});
  EXPECT_TRUE(Eventually([&] {
    const std::string log = group.node(2).log();
    return log.find("no-such-host.invalid:7401") != std::string::npos;
  })) << group.node(2).log();
}

}  // namespace
}  // namespace faultline::cluster
