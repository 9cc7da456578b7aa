// Nodes that are added, promoted, replaced and removed, and leadership that moves, under clients at
// all nodes: those that are no members yet or any more, too. What the clients saw must be what one
// linearizable server could have shown them.
#include <gtest/gtest.h>

#include <iostream>
#include <set>

#include "tests/cluster/group.h"
#include "tests/cluster/load.h"

namespace faultline::cluster {
namespace {

constexpr uint64_t kMost = 6;

class MembershipUnderLoad : public ::testing::Test {
 protected:
  void SetUp() override {
    group_.StartTogether(3);
    members_ = started_ = {1, 2, 3};
    std::vector<std::string> addresses;
    for (uint64_t id = 1; id <= kMost; ++id) addresses.push_back(group_.Api(id));
    load_ = std::make_unique<Load>(addresses);
    ASSERT_TRUE(load_->IsReady());
  }
  void TearDown() override {
    if (!HasFailure()) return;
    for (const uint64_t id : started_) std::cerr << "node " << id << ":\n" << group_.node(id).log();
  }

  // One of the members that run, by chance; not `but`.
  uint64_t Any(uint64_t but = 0) {
    std::vector<uint64_t> others;
    for (const uint64_t id : members_) {
      if (id != but) others.push_back(id);
    }
    return others[load_->Draw(0, others.size() - 1)];
  }
  // A new node, from its start to its vote.
  void Join(uint64_t id) {
    std::vector<std::string> peers;
    for (const uint64_t member : members_) peers.push_back(group_.Peer(member));
    const uint64_t at = Any();
    group_.Start(id, {"--join", fmt::format("{}", fmt::join(peers, ","))});
    started_.insert(id);
    ASSERT_TRUE(group_.Added(id, at));
    load_->Sleep(200, 600);  // a learner, which answers clients
    ASSERT_TRUE(group_.Promoted(id, at));
    members_.insert(id);
  }
  // Its process runs on, and clients go on asking it.
  void Remove(uint64_t id) {
    members_.erase(id);
    ASSERT_TRUE(group_.Removed(id, Any()));
  }
  void HandOver() {
    const uint64_t leader = group_.WaitForLeader(Any());
    const uint64_t to = Any(leader);
    ASSERT_TRUE(group_.Transferred(to, to));
  }
  void JudgeByMembers() {
    std::vector<size_t> nodes;
    for (const uint64_t id : members_) nodes.push_back(id - 1);
    load_->Judge(nodes);
  }

  Group group_{kMost};
  std::set<uint64_t> members_, started_;  // members that run; all that ever were
  std::unique_ptr<Load> load_;
};

TEST_F(MembershipUnderLoad, TheHistoryHoldsWhileNodesAreReplacedAndLeadersHandOver) {
  load_->While([&] {
    for (uint64_t id = 4; id <= kMost; ++id) {
      ASSERT_NO_FATAL_FAILURE(Join(id));
      ASSERT_NO_FATAL_FAILURE(HandOver());
      load_->Sleep(100, 400);
      // Every other time it is the leader, which hands over first.
      const uint64_t leader = group_.WaitForLeader(Any());
      ASSERT_NE(leader, 0u);
      ASSERT_NO_FATAL_FAILURE(Remove(id % 2 == 0 ? leader : Any(leader)));
      load_->Sleep(100, 400);
    }
  });
  if (HasFatalFailure()) return;
  EXPECT_EQ(members_.size(), 3u);
  JudgeByMembers();
}

TEST_F(MembershipUnderLoad, TheHistoryHoldsWhileDeadNodesAreReplacedAndComeBack) {
  load_->While([&] {
    for (uint64_t id = 4; id <= kMost; ++id) {
      const uint64_t dead = Any();
      group_.node(dead).Kill();
      members_.erase(dead);
      ASSERT_NO_FATAL_FAILURE(Join(id));
      ASSERT_NO_FATAL_FAILURE(Remove(dead));
      // It does not know yet that it was removed.
      group_.Restart(dead);
      load_->Sleep(300, 800);
    }
  });
  if (HasFatalFailure()) return;
  EXPECT_EQ(members_.size(), 3u);
  JudgeByMembers();
}

}  // namespace
}  // namespace faultline::cluster
