#include "server/peer_gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace faultline::server {
namespace {

using testing::HasSubstr;

raft::Hello Of(uint64_t id, uint64_t store, uint64_t start) {
  raft::Hello hello;
  hello.node_id = id;
  hello.cluster_id = "ours";
  hello.store_id = store;
  hello.start_id = start;
  return hello;
}

class PeerGateTest : public ::testing::Test {
 protected:
  void ExpectRefused(const raft::Hello& hello, const std::string& reason,
                     const std::string& sentence) {
    const uint64_t before = gate_.refused()[reason];
    const Status status = gate_.Admit(hello);
    ASSERT_EQ(status.code(), StatusCode::kFailedPrecondition) << status;
    EXPECT_EQ(DetailOf(status)->reason(), reason);
    EXPECT_THAT(ToString(status.message()), HasSubstr(sentence));
    EXPECT_EQ(gate_.refused()[reason], before + 1);
  }
  void ExpectTaken(const raft::Hello& hello) {
    const Status status = gate_.Admit(hello);
    EXPECT_TRUE(status.ok()) << status;
  }

  PeerGate gate_{raft::Identity{1, 100, "ours", false}};
};

TEST_F(PeerGateTest, TakesMembersAgainAfterEachStart) {
  for (uint64_t start = 1; start < 200; ++start) {
    ExpectTaken(Of(2, 200, start));
    ExpectTaken(Of(2, 200, start));
    ExpectTaken(Of(3, 300, start));
  }
  EXPECT_TRUE(gate_.refused().empty());
}

TEST_F(PeerGateTest, RefusesNodesOfAnotherCluster) {
  raft::Hello other = Of(2, 200, 1);
  other.cluster_id = "theirs";
  ExpectRefused(other, "OTHER_CLUSTER", "comes from cluster theirs");
}

TEST_F(PeerGateTest, RefusesAProtocolThatItDoesNotSpeak) {
  raft::Hello later = Of(2, 200, 1);
  later.oldest_protocol = raft::kNewestProtocol + 1;
  later.newest_protocol = raft::kNewestProtocol + 2;
  ExpectRefused(later, "UNKNOWN_VERSION",
                fmt::format("speaks versions {} to {}", raft::kNewestProtocol + 1,
                            raft::kNewestProtocol + 2));
  later.oldest_protocol = raft::kNewestProtocol;
  ExpectTaken(later);
}

TEST_F(PeerGateTest, RefusesASecondDirectoryUnderOneIdUntilItIsNoMember) {
  ExpectTaken(Of(2, 200, 1));
  ExpectRefused(Of(2, 201, 2), "DUPLICATE_ID", "comes with another data directory");
  ExpectRefused(Of(1, 101, 3), "DUPLICATE_ID", "node 1 comes with another data directory");
  gate_.SetMembers({1, 3});
  ExpectTaken(Of(2, 201, 2));
}

TEST_F(PeerGateTest, RefusesTheEarlierOfTwoProcessesOnCopiesOfOneDirectory) {
  ExpectTaken(Of(2, 200, 1));
  ExpectTaken(Of(2, 200, 2));
  ExpectRefused(Of(2, 200, 1), "DUPLICATE_ID", "two processes run on copies");
  ExpectTaken(Of(2, 200, 2));
  ExpectTaken(Of(2, 200, 3));
  ExpectRefused(Of(2, 200, 2), "DUPLICATE_ID", "two processes run on copies");
}

TEST_F(PeerGateTest, KnowsItself) {
  ExpectRefused(gate_.Hello(), "OWN_ADDRESS", "node 1 has reached itself");
}

}  // namespace
}  // namespace faultline::server
