#include "client/resume.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace faultline::client {
namespace {

chaos::v1::MetricUpdate Update(const std::string& agent, uint64_t incarnation, uint64_t sequence,
                               const std::string& experiment, const std::string& target) {
  chaos::v1::MetricUpdate update;
  update.set_experiment_id(experiment);
  update.set_target_id(target);
  update.mutable_position()->set_agent_id(agent);
  update.mutable_position()->set_incarnation(incarnation);
  update.mutable_position()->set_sequence(sequence);
  return update;
}

chaos::v1::WatchExperimentsResponse Change(uint64_t revision,
                                           std::vector<std::pair<std::string, uint64_t>> items) {
  chaos::v1::WatchExperimentsResponse message;
  message.set_revision(revision);
  for (const auto& [id, at] : items) {
    auto* experiment = message.add_experiments();
    experiment->set_experiment_id(id);
    experiment->set_revision(at);
  }
  return message;
}

bool Accept(MetricResume& resume, chaos::v1::MetricUpdate update) { return resume.Accept(&update); }

uint64_t ResumeSequence(MetricResume& resume, int index = 0) {
  chaos::v1::SubscribeToMetricsRequest request;
  resume.FillIn(&request);
  return request.resume(index).sequence();
}

TEST(MetricResume, ResumesAfterTheLastBatchThatEverySeriesHasReached) {
  MetricResume resume;
  EXPECT_TRUE(Accept(resume, Update("a", 1, 4, "x", "t1")));
  EXPECT_TRUE(Accept(resume, Update("a", 1, 4, "x", "t2")));
  EXPECT_TRUE(Accept(resume, Update("a", 1, 5, "x", "t1")));
  EXPECT_EQ(ResumeSequence(resume), 4u) << "t2's part of batch 5 was not delivered";
}

TEST(MetricResume, SaysOfSeriesThatAreFurtherHowFar) {
  MetricResume resume;
  Accept(resume, Update("a", 1, 4, "x", "t1"));
  Accept(resume, Update("a", 1, 6, "x", "t2"));
  Accept(resume, Update("b", 1, 9, "x", "t1"));
  chaos::v1::SubscribeToMetricsRequest request;
  resume.FillIn(&request);
  resume.FillIn(&request);
  ASSERT_EQ(request.resume_series_size(), 1) << request.DebugString();
  const auto& series = request.resume_series(0);
  EXPECT_EQ(series.experiment_id() + " " + series.target_id(), "x t2");
  EXPECT_EQ(series.position().agent_id(), "a");
  EXPECT_EQ(series.position().sequence(), 6u);
}

TEST(MetricResume, WhatAnotherNodeSendsAgainIsNotDeliveredAgain) {
  MetricResume resume;
  Accept(resume, Update("a", 1, 4, "x", "t2"));
  Accept(resume, Update("a", 1, 5, "x", "t1"));
  EXPECT_FALSE(Accept(resume, Update("a", 1, 5, "x", "t1")));
  EXPECT_TRUE(Accept(resume, Update("a", 1, 5, "x", "t2")));
  EXPECT_EQ(ResumeSequence(resume), 5u);
}

TEST(MetricResume, SourcesAreApart) {
  MetricResume resume;
  Accept(resume, Update("a", 1, 9, "x", "t"));
  EXPECT_TRUE(Accept(resume, Update("b", 1, 3, "x", "t")));
  EXPECT_EQ(ResumeSequence(resume, 0), 9u);
  EXPECT_EQ(ResumeSequence(resume, 1), 3u);
}

TEST(MetricResume, ARestartedAgentIsANewSourceAndTheOldOnesLastWordsMayComeLate) {
  MetricResume resume;
  Accept(resume, Update("a", 1, 900, "x", "t"));
  EXPECT_TRUE(Accept(resume, Update("a", 2, 1, "x", "t")));
  EXPECT_FALSE(Accept(resume, Update("a", 1, 900, "x", "t")));
  EXPECT_TRUE(Accept(resume, Update("a", 1, 901, "x", "t")));
}

TEST(MetricResume, RemembersFourStartsOfAnAgent) {
  MetricResume resume;
  for (uint64_t incarnation = 1; incarnation <= 9; ++incarnation) {
    Accept(resume, Update("a", incarnation, 1, "x", "t"));
  }
  Accept(resume, Update("b", 1, 1, "x", "t"));
  chaos::v1::SubscribeToMetricsRequest request;
  resume.FillIn(&request);
  ASSERT_EQ(request.resume_size(), 5);
  EXPECT_EQ(request.resume(0).incarnation(), 6u);
}

TEST(MetricResume, ASeriesThatEndedDoesNotHoldThePositionBack) {
  MetricResume resume;
  Accept(resume, Update("a", 1, 1, "ended", "t"));
  Accept(resume, Update("a", 1, 1 + MetricResume::kSilentAfterBatches + 1, "x", "t"));
  EXPECT_EQ(ResumeSequence(resume), 1 + MetricResume::kSilentAfterBatches + 1);
}

TEST(MetricResume, KeepsTheCallersOwnPositionUntilTheSourceIsHeardOf) {
  MetricResume resume;
  chaos::v1::SubscribeToMetricsRequest request;
  request.add_resume()->set_agent_id("a");
  request.mutable_resume(0)->set_incarnation(1);
  request.mutable_resume(0)->set_sequence(40);
  *request.add_resume_series()->mutable_position() = request.resume(0);
  resume.FillIn(&request);
  ASSERT_EQ(request.resume_size(), 1);
  EXPECT_EQ(request.resume(0).sequence(), 40u);
  EXPECT_EQ(request.resume_series_size(), 1);
  Accept(resume, Update("a", 1, 41, "x", "t"));
  resume.FillIn(&request);
  ASSERT_EQ(request.resume_size(), 1);
  EXPECT_EQ(request.resume(0).sequence(), 41u);
  EXPECT_EQ(request.resume_series_size(), 0);
}

// What the consumer is told of the batches before one: merged, missed.
std::pair<uint64_t, uint64_t> Told(MetricResume& resume, chaos::v1::MetricUpdate update) {
  EXPECT_TRUE(resume.Accept(&update));
  return {update.merged_batches(), update.missed_batches()};
}

chaos::v1::MetricUpdate Counted(chaos::v1::MetricUpdate update, uint64_t merged, uint64_t missed) {
  update.set_merged_batches(merged);
  update.set_missed_batches(missed);
  return update;
}

TEST(MetricResume, AfterABreakEverySeriesCountsFromWhatItHasItself) {
  using Counts = std::pair<uint64_t, uint64_t>;
  MetricResume resume;
  chaos::v1::SubscribeToMetricsRequest request;
  resume.FillIn(&request);
  Accept(resume, Update("a", 1, 300, "x", "ahead"));
  Accept(resume, Update("a", 1, 298, "x", "behind"));
  Accept(resume, Update("a", 1, 100, "x", "slow"));
  resume.FillIn(&request);
  ASSERT_EQ(request.resume(0).sequence(), 298u);
  // The node still had the last two of the 12 batches after 298.
  EXPECT_EQ(Told(resume, Counted(Update("a", 1, 310, "x", "ahead"), 1, 10)), Counts(1, 8));
  EXPECT_EQ(Told(resume, Counted(Update("a", 1, 310, "x", "behind"), 1, 10)), Counts(1, 10));
  EXPECT_EQ(Told(resume, Counted(Update("a", 1, 310, "x", "slow"), 1, 10)), Counts(1, 208));
  // What follows is the node's to count: a target may be without a sample in some batches.
  EXPECT_EQ(Told(resume, Counted(Update("a", 1, 315, "x", "ahead"), 1, 1)), Counts(1, 1));
  EXPECT_EQ(Told(resume, Counted(Update("a", 1, 310, "x", "new"), 3, 0)), Counts(3, 0));
}

TEST(MetricResume, WhatAnotherNodeMergesAgainCountsOnce) {
  MetricResume resume;
  chaos::v1::SubscribeToMetricsRequest request;
  resume.FillIn(&request);
  Accept(resume, Update("a", 1, 6, "x", "t1"));
  Accept(resume, Update("a", 1, 4, "x", "t2"));
  resume.FillIn(&request);
  EXPECT_EQ(Told(resume, Counted(Update("a", 1, 8, "x", "t1"), 3, 0)),
            (std::pair<uint64_t, uint64_t>(1, 0)));
}

TEST(MetricResume, ForgetsSeriesThatHaveEnded) {
  MetricResume resume;
  for (uint64_t i = 1; i <= 5'000; ++i) {
    Accept(resume, Update("a", 1, i * 10, fmt::format("exp-{}", i), "t"));
  }
  EXPECT_LE(resume.series(), 2 * MetricResume::kLeastSeries);
  EXPECT_EQ(ResumeSequence(resume), 50'000u - MetricResume::kSilentAfterBatches);
}

TEST(MetricResume, AnEndIsDeliveredOnceAndLastAndIsNoSeries) {
  MetricResume resume;
  EXPECT_TRUE(Accept(resume, Update("a", 1, 4, "x", "t")));
  chaos::v1::MetricUpdate end;
  end.set_experiment_id("x");
  end.mutable_end()->set_status(chaos::v1::EXPERIMENT_STATUS_COMPLETED);
  EXPECT_TRUE(Accept(resume, end));
  EXPECT_EQ(resume.series(), 1u);
  EXPECT_EQ(ResumeSequence(resume), 4u);
  EXPECT_FALSE(Accept(resume, end)) << "another node tells it again";
  EXPECT_FALSE(Accept(resume, Update("a", 1, 5, "x", "t")));
  EXPECT_TRUE(Accept(resume, Update("a", 1, 5, "y", "t")));
  EXPECT_TRUE(Accept(resume, Update("a", 1, 5, "", "t"))) << "the target is observed by itself";
}

TEST(MetricResume, AsksNoMoreForWhatHasEndedUnlessForNothingElse) {
  MetricResume resume;
  chaos::v1::SubscribeToMetricsRequest request;
  request.set_experiment_id("x");
  request.add_experiment_ids("y");
  request.add_experiment_ids("z");
  const auto end = [&](const std::string& id) {
    chaos::v1::MetricUpdate update;
    update.set_experiment_id(id);
    update.mutable_end()->set_status(chaos::v1::EXPERIMENT_STATUS_COMPLETED);
    EXPECT_TRUE(Accept(resume, update));
    resume.FillIn(&request);
  };
  end("x");
  EXPECT_EQ(request.experiment_id(), "");
  EXPECT_EQ(request.experiment_ids_size(), 2);
  end("y");
  ASSERT_EQ(request.experiment_ids_size(), 1);
  EXPECT_EQ(request.experiment_ids(0), "z");
  end("z");
  EXPECT_EQ(request.experiment_ids_size(), 1) << "the stream is to end as it would have";
  request.set_target("service:x");
  resume.FillIn(&request);
  EXPECT_EQ(request.experiment_ids_size(), 0);
}

uint64_t ResumeRevision(const WatchResume& resume) {
  chaos::v1::WatchExperimentsRequest request;
  resume.FillIn(&request);
  return request.after_revision();
}

TEST(WatchResume, ResumesAfterTheLastRevisionThatIsComplete) {
  WatchResume resume;
  auto first = Change(10, {{"x", 7}, {"y", 9}});
  EXPECT_TRUE(resume.Accept(&first));
  EXPECT_EQ(ResumeRevision(resume), 10u);
  auto second = Change(12, {{"x", 12}});
  second.set_partial(true);
  EXPECT_TRUE(resume.Accept(&second));
  EXPECT_EQ(ResumeRevision(resume), 11u) << "more of revision 12 was to follow";
  auto again = Change(12, {{"x", 12}, {"y", 12}});
  EXPECT_TRUE(resume.Accept(&again));
  ASSERT_EQ(again.experiments_size(), 1);
  EXPECT_EQ(again.experiments(0).experiment_id(), "y");
  EXPECT_EQ(ResumeRevision(resume), 12u);
}

TEST(WatchResume, IsMovedOnByMessagesWithoutChanges) {
  WatchResume resume;
  auto first = Change(10, {{"x", 7}});
  resume.Accept(&first);
  auto bookmark = Change(1'200, {});
  EXPECT_FALSE(resume.Accept(&bookmark));
  EXPECT_EQ(ResumeRevision(resume), 1'200u);
}

TEST(WatchResume, ListsAgainWhenItWasAwayForTooLongAndDeliversWhatHasChanged) {
  WatchResume resume;
  auto first = Change(10, {{"x", 7}, {"y", 9}});
  resume.Accept(&first);
  EXPECT_FALSE(resume.Recover(MakeError(StatusCode::kOutOfRange, "the stream has ended")));
  const Status compacted = MakeDetailedError(StatusCode::kOutOfRange, "COMPACTED", "too late");
  EXPECT_TRUE(resume.Recover(compacted));
  EXPECT_FALSE(resume.Recover(compacted)) << "a list cannot be too late";
  EXPECT_EQ(ResumeRevision(resume), 0u);
  auto list = Change(500, {{"x", 7}, {"y", 480}});
  EXPECT_TRUE(resume.Accept(&list));
  ASSERT_EQ(list.experiments_size(), 1);
  EXPECT_EQ(list.experiments(0).revision(), 480u);
  EXPECT_EQ(ResumeRevision(resume), 500u);
}

TEST(WatchResume, BeginsAnewInAnotherCluster) {
  WatchResume resume;
  auto first = Change(100, {{"x", 70}});
  first.set_cluster_id("one");
  resume.Accept(&first);
  chaos::v1::WatchExperimentsRequest request;
  resume.FillIn(&request);
  EXPECT_EQ(request.cluster_id(), "one");
  EXPECT_TRUE(resume.Recover(
      MakeDetailedError(StatusCode::kFailedPrecondition, "OTHER_CLUSTER", "restored elsewhere")));
  auto other = Change(50, {{"x", 40}});
  other.set_cluster_id("two");
  EXPECT_TRUE(resume.Accept(&other));
  EXPECT_EQ(ResumeRevision(resume), 50u);
}

TEST(WatchResume, DeliversAChangeOnce) {
  WatchResume resume;
  auto first = Change(10, {{"x", 7}, {"y", 9}});
  resume.Accept(&first);
  auto again = Change(11, {{"x", 7}, {"y", 9}, {"z", 11}});
  ASSERT_TRUE(resume.Accept(&again));
  ASSERT_EQ(again.experiments_size(), 1);
  EXPECT_EQ(again.experiments(0).experiment_id(), "z");
  auto nothing_new = Change(11, {{"z", 11}});
  EXPECT_FALSE(resume.Accept(&nothing_new));
}

TEST(WatchResume, AnEmptyFirstStateIsDeliveredAndAnEmptyRepeatIsNot) {
  WatchResume resume;
  auto empty = Change(3, {});
  EXPECT_TRUE(resume.Accept(&empty));
  EXPECT_FALSE(resume.Accept(&empty));
}

}  // namespace
}  // namespace faultline::client
