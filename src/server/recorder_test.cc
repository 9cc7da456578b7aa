#include "server/recorder.h"

#include <gtest/gtest.h>

#include "control/report_fit.h"
#include "server/recorder_testing.h"

namespace faultline::server {
namespace {

using namespace recorder_testing;

TEST(Recorder, TellsBeforeDuringAndAfterApart) {
  Recorder recorder(7);
  Agent agent(&recorder);
  agent.Measure(200, 1'000'000);
  agent.Measure(50, 11'000'000, "e1");
  TellCompleted(&recorder, kSecond);
  agent.Measure(99, 1'000'000);
  EXPECT_TRUE(recorder.Due(kSecond, false).empty());  // not measured long enough after it
  agent.Measure(20, 1'000'000);
  const auto parts = recorder.Due(kSecond, false);
  ASSERT_EQ(parts.size(), 1u);
  ASSERT_EQ(parts[0].targets_size(), 1);
  const auto& target = parts[0].targets(0);
  EXPECT_EQ(target.target_id(), "a/x");
  EXPECT_EQ(target.agent_id(), "a");
  EXPECT_EQ(target.node_ids(0), 7u);
  EXPECT_GE(target.before().duration_ns(), 10 * kSecond);
  EXPECT_LT(target.before().duration_ns(), 11 * kSecond);
  EXPECT_EQ(Count(target.during()), 50u);
  EXPECT_EQ(Count(target.after()), 100u);
  EXPECT_EQ(target.during().traffic().resets_sent(), 50u);
  EXPECT_EQ(target.after().traffic().resets_sent(), 100u);
  EXPECT_EQ(target.faults(0).counters().matched(), 50u);
  EXPECT_EQ(target.faults(0).counters().delay_given_ns(), 500'000'000u);
  EXPECT_EQ(target.missing_batches(), 0u);
  EXPECT_EQ(parts[0].events_size(), 0);  // the leader's to tell
}

TEST(Recorder, KeepsAsMuchOfTheTimeBeforeAsItIsTold) {
  Recorder recorder(7, std::chrono::milliseconds(3'000));
  Agent agent(&recorder);
  agent.Measure(200, 1'000'000);
  agent.Measure(50, 11'000'000, "e1");
  TellCompleted(&recorder, kSecond);
  const auto parts = recorder.Due(kSecond + Recorder::kPatienceNs, false);
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_GE(parts[0].targets(0).before().duration_ns(), 3 * kSecond);
  EXPECT_LT(parts[0].targets(0).before().duration_ns(), 4 * kSecond);
}

TEST(Recorder, AddsUpAFaultThatWasArmedTwice) {
  Recorder recorder(1);
  Agent agent(&recorder);
  agent.Measure(20, 11'000'000, "e1");
  agent.Measure(5, 1'000'000);  // its lease had run out
  agent.armed_for = 0;
  agent.Measure(10, 11'000'000, "e1");
  TellCompleted(&recorder, kSecond);
  const auto parts = recorder.Due(kSecond + Recorder::kPatienceNs, false);
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_EQ(parts[0].targets(0).faults(0).counters().matched(), 30u);
  EXPECT_EQ(Count(parts[0].targets(0).during()), 30u);
  EXPECT_EQ(Count(parts[0].targets(0).after()), 0u);
}

TEST(Recorder, LeavesOutWhatAnotherNodeMayHaveAndCountsWhatNeverCame) {
  Recorder recorder(1);
  Agent agent(&recorder);
  recorder.OnHello(Hello(1, /*sequence=*/30));
  agent.Measure(40, 11'000'000, "e1");
  agent.sequence += 4;
  agent.Measure(1, 11'000'000, "e1");
  TellCompleted(&recorder, kSecond);
  const auto parts = recorder.Due(kSecond + Recorder::kPatienceNs, false);
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_EQ(parts[0].targets(0).batches(), 11u);
  EXPECT_EQ(parts[0].targets(0).missing_batches(), 4u);
}

TEST(Recorder, KeepsTheCourseWithinBounds) {
  Recorder recorder(1);
  Agent agent(&recorder);
  agent.Measure(100, 1'000'000);
  agent.Measure(10'000, 11'000'000, "e1");
  TellCompleted(&recorder, kSecond);
  const auto parts = recorder.Due(kSecond + Recorder::kPatienceNs, false);
  const auto& points = parts.at(0).targets(0).points();
  EXPECT_LE(static_cast<size_t>(points.size()), TargetCourse::kMaxPoints);
  EXPECT_GT(points.size(), 40);
  uint64_t requests = 0, length_ms = 0;
  for (const auto& point : points) {
    requests += point.requests();
    EXPECT_EQ(point.offset_ms(), length_ms);
    length_ms += point.length_ms();
    const double expected = point.phase() == chaos::v1::REPORT_PHASE_BEFORE ? 1 : 11;
    EXPECT_NEAR(point.p99_ms(), expected, expected * 0.02);
  }
  EXPECT_EQ(requests, 10'100u);
}

TEST(Recorder, WhatIsMeasuredUnderAnotherExperimentIsNotAfter) {
  Recorder recorder(1);
  Agent agent(&recorder);
  agent.Measure(20, 1'000'000);
  agent.Measure(10, 11'000'000, "e1");
  agent.Measure(10, 1'000'000);
  agent.Measure(60, 500'000'000, "e2");
  agent.Measure(20, 1'000'000);
  TellCompleted(&recorder, kSecond);
  const auto parts = recorder.Due(kSecond + Recorder::kPatienceNs, false);
  ASSERT_EQ(parts.size(), 1u);
  const auto& target = parts[0].targets(0);
  EXPECT_EQ(Count(target.after()), 30u);
  Histogram after;
  ASSERT_TRUE(after.Merge(target.after().latency()).ok());
  EXPECT_LT(after.PercentileNs(100), 2e6);
  EXPECT_EQ(Count(target.during()), 10u);
  ASSERT_EQ(target.others_size(), 1);
  EXPECT_EQ(target.others(0).experiment_id(), "e2");
  EXPECT_TRUE(target.others(0).after());
  EXPECT_FALSE(target.others(0).during());
  EXPECT_EQ(target.others(0).unix_ns(), kUnixMs * 1'000'000 + static_cast<int64_t>(40 * kInterval));
  const auto& last = *target.points().rbegin();
  EXPECT_EQ(last.offset_ms() + last.length_ms(), 12'000u) << "the gap is in the course";
}

TEST(Recorder, NamesAnotherExperimentThatWasOnAtTheSameTime) {
  Recorder recorder(1);
  Agent agent(&recorder);
  agent.other = "e2";
  agent.Measure(10, 11'000'000, "e1");
  agent.other = "";
  agent.Measure(10, 1'000'000);
  agent.Measure(10, 11'000'000, "e3");  // while e1 was only interrupted
  agent.Measure(10, 11'000'000, "e1");
  TellCompleted(&recorder, kSecond);
  const auto parts = recorder.Due(kSecond + Recorder::kPatienceNs, false);
  ASSERT_EQ(parts.size(), 1u);
  const auto& target = parts[0].targets(0);
  EXPECT_EQ(Count(target.during()), 20u);
  ASSERT_EQ(target.others_size(), 1);
  EXPECT_EQ(target.others(0).experiment_id(), "e2");
  EXPECT_TRUE(target.others(0).during());
}

TEST(Recorder, TellsAsLeaderWhatHappenedAlthoughNothingWasMeasured) {
  Recorder recorder(1);
  Tell(&recorder, Experiment(chaos::v1::TARGET_PHASE_PENDING, chaos::v1::EXPERIMENT_STATUS_PENDING),
       kSecond);
  Tell(&recorder, Experiment(chaos::v1::TARGET_PHASE_ACTIVE, chaos::v1::EXPERIMENT_STATUS_RUNNING),
       kSecond);
  TellCompleted(&recorder, 2 * kSecond);
  EXPECT_TRUE(recorder.Due(2 * kSecond, true).empty());
  EXPECT_TRUE(recorder.Due(2 * kSecond + Recorder::kPatienceNs, false).empty());
  const auto parts = recorder.Due(2 * kSecond + Recorder::kPatienceNs, true);
  ASSERT_EQ(parts.size(), 1u);
  std::vector<std::string> words;
  for (const auto& event : parts[0].events()) words.push_back(event.what());
  EXPECT_EQ(words, (std::vector<std::string>{"created", "active", "reverted", "completed"}));
  recorder.Done("e1", /*with_events=*/true);
  EXPECT_TRUE(recorder.Due(2 * kSecond + Recorder::kPatienceNs, true).empty());
}

// 200 targets, of which each comes and goes.
TEST(Recorder, CountsEventsForWhichThereIsNoRoomAndKeepsWhatWentWrong) {
  constexpr int kTargets = 200;
  Recorder recorder(1);
  auto experiment =
      Experiment(chaos::v1::TARGET_PHASE_ACTIVE, chaos::v1::EXPERIMENT_STATUS_RUNNING);
  for (int i = 1; i < kTargets; ++i) {
    *experiment.add_targets() = experiment.targets(0);
    experiment.mutable_targets(i)->set_target_id(fmt::format("a/{}", i));
  }
  const auto tell = [&](chaos::v1::TargetPhase phase) {
    for (auto& pair : *experiment.mutable_targets()) pair.set_phase(phase);
    experiment.mutable_targets(kTargets - 1)->set_phase(chaos::v1::TARGET_PHASE_LOST);
    Tell(&recorder, experiment, kSecond);
  };
  for (const auto phase : {chaos::v1::TARGET_PHASE_ACTIVE, chaos::v1::TARGET_PHASE_REVERTING}) {
    tell(phase);
  }
  experiment.set_status(chaos::v1::EXPERIMENT_STATUS_COMPLETED);
  *experiment.mutable_ended_at() = control::ToTimestamp(kUnixMs);
  tell(chaos::v1::TARGET_PHASE_REVERTED);
  const auto parts = recorder.Due(kSecond + Recorder::kPatienceNs, true);
  ASSERT_EQ(parts.size(), 1u);
  // "created", "completed", one "lost", and three of each other target.
  const uint64_t happened = 3 + 3 * (kTargets - 1);
  const auto told = static_cast<uint64_t>(parts[0].events_size());
  EXPECT_LE(told, static_cast<uint64_t>(Recorder::kMaxEvents));
  EXPECT_EQ(told + parts[0].left_out().events(), happened);
  std::map<std::string, int> words;
  for (const auto& event : parts[0].events()) ++words[event.what()];
  EXPECT_EQ(words["lost"], 1);
  EXPECT_EQ(words["completed"], 1);
}

TEST(Recorder, GivesEachOfManyTargetsFewerPointsAndNoneLessToTell) {
  constexpr int kTargets = 200;
  Recorder recorder(1, std::chrono::milliseconds(5'000));
  Agent agent(&recorder);
  agent.Measure(100, 1'000'000);
  agent.Measure(1'000, 11'000'000, "e1");
  auto experiment =
      Experiment(chaos::v1::TARGET_PHASE_REVERTED, chaos::v1::EXPERIMENT_STATUS_COMPLETED);
  for (int i = 1; i < kTargets; ++i) {
    *experiment.add_targets() = experiment.targets(0);
    experiment.mutable_targets(i)->set_target_id(fmt::format("b/{}", i));
  }
  Tell(&recorder, experiment, kSecond);
  const auto parts = recorder.Due(kSecond + Recorder::kPatienceNs, false);
  ASSERT_EQ(parts.size(), 1u);
  const auto& target = parts[0].targets(0);
  EXPECT_EQ(target.baseline_ms(), 5'000u);
  EXPECT_LE(static_cast<size_t>(target.points_size()), control::PointsFor(kTargets));
  uint64_t requests = 0;
  for (const auto& point : target.points()) {
    requests += point.requests();
    const double expected = point.phase() == chaos::v1::REPORT_PHASE_BEFORE ? 1 : 11;
    EXPECT_NEAR(point.p50_ms(), expected, expected * 0.02);
  }
  EXPECT_EQ(requests, Count(target.before()) + 1'000u);
}

TEST(Recorder, IgnoresWhatEndedLongAgo) {
  Recorder recorder(1);
  Tell(&recorder,
       Experiment(chaos::v1::TARGET_PHASE_REVERTED, chaos::v1::EXPERIMENT_STATUS_COMPLETED),
       kSecond, kUnixMs + 3'600'000);
  EXPECT_TRUE(recorder.Due(100 * kSecond, true).empty());
}

}  // namespace
}  // namespace faultline::server
