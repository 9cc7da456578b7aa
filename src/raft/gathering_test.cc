// Commands that come while others are on their way: which of them go together.
#include <gtest/gtest.h>

#include "raft/test_group.h"

namespace faultline::raft {
namespace {

class GatheringTest : public testing::Test {
 protected:
  void SetUp() override {
    leader_ = group_.WaitForLeader();
    ASSERT_NE(leader_, 0u);
    ASSERT_TRUE(group_.Propose(leader_, "the first").ok());
    const uint64_t follower = leader_ % 3 + 1;
    group_.tamper = [this, follower](uint64_t from, uint64_t to, pb::PeerMessage* message) {
      if (from != leader_ || to != follower || !message->has_append_entries()) return true;
      const int entries = message->append_entries().entries_size();
      if (entries > 0) sent_.push_back({group_.now_ms(), entries});
      return true;
    };
  }
  // One command, up to where the leader has it durable and nobody else has.
  void SubmitOneAndWrite() {
    group_.Submit(leader_, "one");
    ASSERT_TRUE(group_.RunFor(1'000, [this] {
      const CoreStatus status = group_.driver(leader_).core_status();
      return status.last_stored == status.last_index && status.commit_index < status.last_index;
    }));
  }

  struct Sent {
    uint64_t at_ms;
    int entries;
  };
  TestGroup group_{3};
  uint64_t leader_ = 0;
  std::vector<Sent> sent_;  // to one follower
};

TEST_F(GatheringTest, WhatComesBeforeEarlierOnesAreCommittedGoesTogether) {
  SubmitOneAndWrite();
  for (const char* command : {"two", "three", "four"}) group_.Submit(leader_, command);
  ASSERT_EQ(sent_.size(), 1u);
  ASSERT_TRUE(group_.Propose(leader_, "five").ok());
  ASSERT_EQ(sent_.size(), 2u);
  EXPECT_EQ(sent_[0].entries, 1);
  EXPECT_EQ(sent_[1].entries, 4);
}

TEST_F(GatheringTest, BetweenFarSitesNothingWaitsForARoundTrip) {
  for (uint64_t from = 1; from <= 3; ++from) {
    for (uint64_t to = 1; to <= 3; ++to) group_.SetDelay(from, to, 75'000);
  }
  SubmitOneAndWrite();
  const uint64_t begun_ms = group_.now_ms();
  group_.Submit(leader_, "two");
  ASSERT_TRUE(group_.RunFor(1'000, [this] { return sent_.size() == 2; }));
  EXPECT_EQ(sent_[1].entries, 1);
  EXPECT_LE(sent_[1].at_ms, begun_ms + 3);
}

}  // namespace
}  // namespace faultline::raft
