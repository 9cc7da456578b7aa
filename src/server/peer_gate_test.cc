#include "server/peer_gate.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <memory>

#include "raft/test_dir.h"

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
  // As after this node's start, with the members of its log.
  void Restart(const std::vector<uint64_t>& members) {
    gate_.reset();
    gate_ = std::make_unique<PeerGate>(dir_.path(), raft::Identity{1, 100, "ours", false});
    if (!members.empty()) gate_->SetMembers(members);
  }
  void ExpectRefused(const raft::Hello& hello, const std::string& reason,
                     const std::string& sentence) {
    const uint64_t before = gate_->refused()[reason];
    const Status status = gate_->Admit(hello);
    ASSERT_EQ(status.code(), StatusCode::kFailedPrecondition) << status;
    EXPECT_EQ(DetailOf(status)->reason(), reason);
    EXPECT_THAT(ToString(status.message()), HasSubstr(sentence));
    EXPECT_EQ(gate_->refused()[reason], before + 1);
  }
  void ExpectTaken(const raft::Hello& hello) {
    const Status status = gate_->Admit(hello);
    EXPECT_TRUE(status.ok()) << status;
  }

  const raft::TestDir dir_;
  std::unique_ptr<PeerGate> gate_ =
      std::make_unique<PeerGate>(dir_.path(), raft::Identity{1, 100, "ours", false});
};

TEST_F(PeerGateTest, TakesMembersAgainAfterEachStart) {
  for (uint64_t start = 1; start < 200; ++start) {
    ExpectTaken(Of(2, 200, start));
    ExpectTaken(Of(2, 200, start));
    ExpectTaken(Of(3, 300, start));
  }
  EXPECT_TRUE(gate_->refused().empty());
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
  ExpectRefused(Of(2, 201, 2), "DUPLICATE_ID",
                "stop node 1, which refuses it, and remove the file");
  ExpectRefused(Of(1, 101, 3), "DUPLICATE_ID", "node 1 comes with another data directory");
  gate_->SetMembers({1, 3});
  ExpectTaken(Of(2, 201, 2));
}

// A node that lost its directory knows no cluster yet.
raft::Hello Fresh(uint64_t id, uint64_t store) {
  raft::Hello hello = Of(id, store, 9);
  hello.cluster_id.clear();
  return hello;
}

TEST_F(PeerGateTest, KnowsMembersDirectoriesAgainAfterItsOwnStart) {
  Restart({1, 2, 3});
  ExpectTaken(Of(2, 0xfedcba9876543210, 1));
  ExpectTaken(Of(3, 300, 1));
  Restart({});
  ExpectRefused(Fresh(2, 201), "DUPLICATE_ID", "node 2 comes with another data directory");
  Restart({1, 2, 3});
  ExpectRefused(Fresh(2, 201), "DUPLICATE_ID", "node 2 comes with another data directory");
  ExpectTaken(Of(2, 0xfedcba9876543210, 2));
  ExpectTaken(Of(3, 300, 2));
}

TEST_F(PeerGateTest, KnowsThoseTooWhoCameBeforeTheMembersWereKnown) {
  ExpectTaken(Of(2, 200, 1));
  ExpectTaken(Of(4, 400, 1));
  gate_->SetMembers({1, 2, 3});
  Restart({1, 2, 3, 4});
  ExpectRefused(Fresh(2, 201), "DUPLICATE_ID", "another data directory");
  ExpectTaken(Fresh(4, 401));
}

TEST_F(PeerGateTest, LearnsThoseTooThatItOnlyAsked) {
  Restart({1, 2, 3});
  EXPECT_FALSE(gate_->KnowsAll());
  ExpectTaken(Of(2, 200, 1));
  gate_->Learn(Fresh(3, 301));  // knows no cluster: may have lost its directory
  raft::Hello other = Of(3, 302, 0);
  other.cluster_id = "theirs";
  gate_->Learn(other);
  gate_->Learn(Of(3, 0, 0));  // of a version that does not tell
  EXPECT_FALSE(gate_->KnowsAll());
  gate_->Learn(Of(3, 300, 0));
  gate_->Learn(Of(2, 201, 0));  // known by another one already
  gate_->Learn(Of(4, 400, 0));  // no member
  EXPECT_TRUE(gate_->KnowsAll());
  Restart({1, 2, 3, 4});
  EXPECT_FALSE(gate_->KnowsAll());
  ExpectRefused(Fresh(3, 301), "DUPLICATE_ID", "node 3 comes with another data directory");
  ExpectTaken(Of(3, 300, 1));
  ExpectTaken(Of(2, 200, 2));
  ExpectTaken(Of(4, 401, 1));
}

TEST_F(PeerGateTest, ForgetsForGoodWhoIsNoMember) {
  Restart({1, 2, 3});
  ExpectTaken(Of(2, 200, 1));
  gate_->SetMembers({1, 3});
  ExpectTaken(Of(2, 200, 2));  // has not heard that it was removed
  Restart({1, 2, 3});
  ExpectTaken(Of(2, 201, 1));
  Restart({1, 3});
  Restart({1, 2, 3});
  ExpectTaken(Of(2, 202, 1));
}

TEST_F(PeerGateTest, GoesOnWhenItCannotKeepThemOrReadThemAgain) {
  const std::string path = dir_.path() + "/peers";
  std::filesystem::create_directory(path + ".new");  // in the way
  Restart({1, 2});
  ExpectTaken(Of(2, 200, 1));
  ExpectRefused(Of(2, 201, 1), "DUPLICATE_ID", "another data directory");
  EXPECT_FALSE(std::filesystem::exists(path));
  std::filesystem::remove(path + ".new");
  ExpectTaken(Of(2, 200, 2));
  EXPECT_TRUE(std::filesystem::exists(path)) << "it is tried again";
  std::ofstream(path, std::ios::app) << "x";
  Restart({1, 2});
  ExpectTaken(Of(2, 201, 1));
  Restart({1, 2});
  ExpectRefused(Of(2, 200, 3), "DUPLICATE_ID", "another data directory");
}

// Who opens a FIFO to write waits until somebody reads from it, as on a disk that hangs.
TEST_F(PeerGateTest, OnlyWhoIsAdmittedWaitsForADiskThatHangs) {
  const std::string path = dir_.path() + "/peers.new";
  Restart({1, 2, 3});
  ExpectTaken(Of(2, 200, 1));
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  auto admitted = std::async(std::launch::async, [&] { return gate_->Admit(Of(3, 300, 1)); });
  gate_->SetMembers({1, 2, 3, 4});
  gate_->Learn(Of(4, 400, 1));
  EXPECT_EQ(gate_->Hello().node_id, 1u);
  EXPECT_TRUE(gate_->Admit(Of(2, 200, 2)).ok()) << "it was admitted before";
  gate_->SetMembers({1, 2, 3});
  EXPECT_TRUE(gate_->refused().empty());
  EXPECT_NE(admitted.wait_for(std::chrono::milliseconds(20)), std::future_status::ready);
  // It refuses then: a FIFO cannot be cut.
  const int reader = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  ASSERT_GE(reader, 0);
  EXPECT_TRUE(admitted.get().ok());
  std::filesystem::remove(path);
  gate_->Save();
  close(reader);
  Restart({1, 2, 3});
  ExpectRefused(Of(3, 301, 1), "DUPLICATE_ID", "another data directory");
}

TEST_F(PeerGateTest, KeepsTheClusterThatItLearns) {
  raft::Identity own{1, 100, "", false};
  ASSERT_TRUE(raft::SaveIdentity(dir_.path(), own).ok());
  PeerGate gate(dir_.path(), own);
  gate.SetCluster("ours");
  gate.Save();
  const auto kept = raft::ReadIdentity(dir_.path());
  ASSERT_TRUE(kept.ok()) << kept.status();
  EXPECT_EQ(kept->cluster_id, "ours");
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
  ExpectRefused(gate_->Hello(), "OWN_ADDRESS", "node 1 has reached itself");
}

}  // namespace
}  // namespace faultline::server
