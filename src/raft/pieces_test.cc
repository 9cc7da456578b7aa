// The driver's parts that stand alone: write queue, proposals, quorum clock, entry log.
#include <gtest/gtest.h>

#include "raft/entry_log.h"
#include "raft/proposals.h"
#include "raft/quorum_clock.h"
#include "raft/write_queue.h"

namespace faultline::raft {
namespace {

EntryPtr EntryOf(uint64_t term, const std::string& data = "x") {
  auto entry = std::make_shared<pb::Entry>();
  entry->set_term(term);
  entry->set_data(data);
  return entry;
}

SnapshotPtr SnapshotOf(uint64_t index) {
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->metadata.set_last_index(index);
  return snapshot;
}

TEST(WriteQueueTest, AllThatComesDuringAWriteGoesTogetherInTheNext) {
  WriteQueue queue(0);
  EXPECT_FALSE(queue.StartNext().has_value());
  queue.Append(1, {EntryOf(1)});
  ASSERT_TRUE(queue.StartNext().has_value());
  queue.Append(2, {EntryOf(1)});
  queue.Append(3, {EntryOf(1), EntryOf(1)});
  EXPECT_FALSE(queue.StartNext().has_value()) << "one is under way";
  EXPECT_EQ(queue.Finish().durable_index, 1u);
  const auto next = queue.StartNext();
  ASSERT_TRUE(next.has_value());
  EXPECT_EQ(next->first_index, 2u);
  EXPECT_EQ(next->entries.size(), 3u);
  EXPECT_EQ(next->remove_from, 0u);
  EXPECT_EQ(queue.Finish().durable_index, 4u);
}

TEST(WriteQueueTest, EntriesReplacedDuringTheirWriteAreNotDurableWhenItIsDone) {
  WriteQueue queue(4);
  queue.Append(5, {EntryOf(2), EntryOf(2), EntryOf(2)});
  queue.StartNext();
  queue.Append(6, {EntryOf(3)});
  // The same entry as the one being written comes back: the write after this one removes it first.
  queue.Append(6, {EntryOf(2), EntryOf(2)});
  EXPECT_EQ(queue.Finish().durable_index, 5u);
  const auto next = queue.StartNext();
  EXPECT_EQ(next->remove_from, 6u);
  EXPECT_EQ(next->first_index, 6u);
  EXPECT_EQ(next->entries.size(), 2u);
  EXPECT_EQ(queue.Finish().durable_index, 7u);
}

TEST(WriteQueueTest, OnlyWhatMayBeOnDiskIsRemovedThere) {
  WriteQueue queue(4);
  queue.Append(5, {EntryOf(2), EntryOf(2)});
  queue.Append(6, {EntryOf(3)});
  EXPECT_EQ(queue.StartNext()->remove_from, 0u) << "entry 6 was never written";
  queue.Finish();
  queue.Append(3, {EntryOf(4)});
  queue.Append(4, {EntryOf(4)});
  const auto next = queue.StartNext();
  EXPECT_EQ(next->remove_from, 3u);
  EXPECT_EQ(next->first_index, 3u);
  EXPECT_EQ(next->entries.size(), 2u);
}

TEST(WriteQueueTest, MessagesWaitUntilTheTermAndVoteBeforeThemAreDurable) {
  WriteQueue queue(0);
  std::string bytes = "a";
  EXPECT_TRUE(queue.MaySend({2, "a:2"}, &bytes));
  queue.SetHardState({5, 1});
  EXPECT_FALSE(queue.MaySend({2, "a:2"}, &bytes));
  queue.StartNext();
  bytes = "b";
  EXPECT_FALSE(queue.MaySend({2, "a:2"}, &bytes)) << "being written is not durable";
  const auto finished = queue.Finish();
  ASSERT_EQ(finished.messages.size(), 2u);
  EXPECT_EQ(finished.messages[1].bytes, "b");
  bytes = "c";
  EXPECT_TRUE(queue.MaySend({2, "a:2"}, &bytes));
}

TEST(WriteQueueTest, AReceivedSnapshotReplacesAllThatWaits) {
  WriteQueue queue(4);
  queue.Append(5, {EntryOf(2)});
  queue.StartNext();
  queue.Append(6, {EntryOf(2)});
  queue.TakeSnapshot(SnapshotOf(4), 1);
  queue.Install(SnapshotOf(50));
  EXPECT_FALSE(queue.taking());
  EXPECT_EQ(queue.Finish().durable_index, 0u);
  const auto next = queue.StartNext();
  EXPECT_TRUE(next->clear_log);
  EXPECT_TRUE(next->entries.empty());
  EXPECT_EQ(next->trim_to, 0u);
  EXPECT_EQ(next->snapshot->metadata.last_index(), 50u);
  const auto finished = queue.Finish();
  EXPECT_NE(finished.installed, nullptr);
  EXPECT_EQ(finished.taken, nullptr);
}

TEST(ProposalsTest, ResultsGoToWhoeverProposedAndToNobodyElse) {
  Proposals proposals;
  std::vector<std::string> results;
  const auto collect = [&](const StatusOr<Node::Committed>& result) {
    results.push_back(result.ok() ? result->result
                                  : std::string(ToString(result.status().message())));
  };
  proposals.Add("a", collect, 1);
  proposals.Add("b", collect, 2);
  const auto entries = proposals.Submit(7, 3, 3);
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[1]->data(), "b");
  EXPECT_EQ(entries[1]->term(), 3u);
  proposals.Applied(6, 2, "not ours");
  proposals.Applied(7, 3, "first");
  proposals.FailWaiting(LeadershipLostError());
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[0], "first");
  EXPECT_NE(results[1].find("lost leadership"), std::string::npos);
}

TEST(ProposalsTest, TooMuchPendingIsRefusedUntilThereIsRoomAgain) {
  Proposals proposals;
  int refused = 0;
  const auto count = [&](const StatusOr<Node::Committed>& result) {
    if (result.status().code() == StatusCode::kResourceExhausted) ++refused;
  };
  const std::string large(Proposals::kMaxBytes / 2, 'x');
  proposals.Add(large, count, 1);
  proposals.Add(large, count, 1);
  EXPECT_EQ(refused, 0);
  proposals.Add("one more", count, 1);
  EXPECT_EQ(refused, 1);
  proposals.Submit(1, 1, 1);
  proposals.Applied(1, 1, "");
  proposals.Add("one more", count, 1);
  EXPECT_EQ(refused, 1);
}

TEST(ProposalsTest, WhatStillWaitsAtItsDeadlineIsRefusedAndTakesNoRoom) {
  Proposals proposals;
  std::vector<Status> answers;
  const auto collect = [&](const StatusOr<Node::Committed>& result) {
    answers.push_back(result.status());
  };
  proposals.Add(std::string(Proposals::kMaxBytes, 'x'), collect, 1, 10);
  EXPECT_TRUE(proposals.Submit(7, 3, 10).empty());
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].code(), StatusCode::kDeadlineExceeded);
  EXPECT_EQ(DetailOf(answers[0])->reason(), "TOO_LATE");
  EXPECT_FALSE(proposals.has_queued());
  proposals.Add("no deadline", collect, 11);
  proposals.Add("over", collect, 11, 12);
  proposals.Add("in time", collect, 11, 14);
  const auto entries = proposals.Submit(7, 3, 13);
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[1]->data(), "in time");
  EXPECT_EQ(answers.size(), 2u);
  proposals.Applied(7, 3, "");
  proposals.Applied(8, 3, "");
  ASSERT_EQ(answers.size(), 4u);
  EXPECT_TRUE(answers[3].ok());
}

TEST(QuorumClockTest, TheQuorumIsAsOldAsTheMemberThatCompletesIt) {
  QuorumClock clock;
  EXPECT_EQ(clock.quorum_ns(), 0u) << "does not lead";
  clock.Begin({2, 3, 4, 5});
  EXPECT_EQ(clock.quorum_ns(), 0u);
  clock.Acknowledge(2, 100);
  EXPECT_EQ(clock.quorum_ns(), 0u) << "two of five";
  clock.Acknowledge(3, 80);
  EXPECT_EQ(clock.quorum_ns(), 80u);
  clock.Acknowledge(4, 90);
  EXPECT_EQ(clock.quorum_ns(), 90u);
  clock.Acknowledge(2, 50);
  EXPECT_EQ(clock.quorum_ns(), 90u) << "late answers change nothing";
  clock.Acknowledge(9, 500);
  EXPECT_EQ(clock.quorum_ns(), 90u) << "no member";
  clock.End();
  EXPECT_EQ(clock.quorum_ns(), 0u);
}

TEST(QuorumClockTest, ASingleMemberIsItsOwnQuorum) {
  QuorumClock clock;
  clock.Begin({});
  EXPECT_EQ(clock.quorum_ns(), QuorumClock::kAlways);
}

TEST(QuorumClockTest, AReaderWaitsForAQuorumAfterItsQuestionAndForItsIndex) {
  QuorumClock clock;
  clock.Begin({2, 3});
  int answered = 0;
  clock.AddReader(100, 7, [&](const Status& status) { answered += status.ok() ? 1 : 0; });
  EXPECT_TRUE(clock.ShouldAsk(110, 50));
  EXPECT_FALSE(clock.ShouldAsk(120, 50)) << "asked already";
  clock.Acknowledge(2, 90);
  clock.Finish(7);
  EXPECT_EQ(answered, 0) << "acknowledged before the question";
  EXPECT_TRUE(clock.ShouldAsk(170, 50)) << "the question may be lost";
  clock.Acknowledge(3, 110);
  clock.Finish(6);
  EXPECT_EQ(answered, 0) << "not applied yet";
  clock.Finish(7);
  EXPECT_EQ(answered, 1);
  EXPECT_FALSE(clock.ShouldAsk(500, 50)) << "nobody waits";
}

TEST(EntryLogTest, IndexesStayWithTheirEntriesWhenBothEndsAreCut) {
  EntryLog log;
  log.Reset(5);
  EXPECT_EQ(log.last_index(), 4u);
  for (uint64_t i = 5; i <= 9; ++i) log.Append(EntryOf(1, std::to_string(i)));
  log.TrimTo(6);
  log.RemoveFrom(9);
  EXPECT_EQ(log.first_index(), 7u);
  EXPECT_EQ(log.last_index(), 8u);
  EXPECT_EQ(log.At(8)->data(), "8");
  log.TrimTo(100);
  EXPECT_EQ(log.last_index(), 8u);
  EXPECT_EQ(log.size_bytes(), 0u);
}

TEST(EntryLogTest, EntriesWithinALimitAreCountedFromTheEnd) {
  EntryLog log;
  for (int i = 0; i < 10; ++i) log.Append(EntryOf(1, std::string(1'000, 'x')));
  EXPECT_EQ(log.CountWithin(10, 1 << 20), 10u);
  EXPECT_EQ(log.CountWithin(4, 1 << 20), 4u);
  EXPECT_EQ(log.CountWithin(10, 3'500), 3u);
  EXPECT_EQ(log.CountWithin(10, 0), 0u);
}

}  // namespace
}  // namespace faultline::raft
