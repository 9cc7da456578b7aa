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

TEST_F(GatheringTest, WhatWaitsPastItsDeadlineIsNotSubmitted) {
  group_.SetDisk(leader_, TestGroup::Disk::kHangs);
  group_.Submit(leader_, "in the write that waits");
  std::vector<Status> answers(2, absl::UnknownError("none yet"));
  const auto propose = [&](size_t which, const std::string& command, uint64_t after_ms) {
    const uint64_t deadline_ns = group_.NowNs(leader_) + after_ms * kNanosPerMilli;
    group_.driver(leader_).Propose(
        command, [&answers, which](const auto& r) { answers[which] = r.status(); }, deadline_ns);
  };
  propose(0, "late", 10);
  propose(1, "in time", 1'000);
  group_.RunFor(50);
  EXPECT_EQ(answers[0].code(), StatusCode::kUnknown) << "nothing is submitted yet";
  group_.SetDisk(leader_, TestGroup::Disk::kWorks);
  ASSERT_TRUE(group_.RunFor(1'000, [&] { return answers[1].ok(); })) << answers[1];
  EXPECT_EQ(answers[0].code(), StatusCode::kDeadlineExceeded) << answers[0];
  EXPECT_EQ(DetailOf(answers[0])->reason(), "TOO_LATE");
  EXPECT_EQ(group_.machine(leader_).commands(),
            (std::vector<std::string>{"the first", "in the write that waits", "in time"}));
}

TEST_F(GatheringTest, NothingIsSubmittedWhenAllThatWaitsIsTooLate) {
  SubmitOneAndWrite();
  std::optional<Status> answer;
  group_.driver(leader_).Propose(
      "late", [&](const auto& r) { answer = r.status(); }, group_.NowNs(leader_) + 1);
  ASSERT_TRUE(group_.RunFor(1'000, [&] { return answer.has_value(); }));
  EXPECT_EQ(answer->code(), StatusCode::kDeadlineExceeded) << *answer;
  EXPECT_TRUE(group_.Propose(leader_, "two").ok());
  EXPECT_TRUE(group_.driver(leader_).failure().ok());
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
