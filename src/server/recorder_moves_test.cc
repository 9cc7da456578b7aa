// What a report has of an agent that went from node to node, or was away.
#include <gtest/gtest.h>

#include "control/report_parts.h"
#include "control/version.h"
#include "server/recorder_testing.h"

namespace faultline::server {
namespace {

using namespace recorder_testing;

constexpr uint64_t kQuick = 1'000'000, kSlow = 11'000'000;
constexpr auto kDuring = chaos::v1::REPORT_PHASE_DURING;

uint64_t LengthMs(const chaos::v1::TargetReport& target, chaos::v1::ReportPhase phase) {
  uint64_t length_ms = 0;
  for (const auto& point : target.points()) {
    if (point.phase() == phase) length_ms += point.length_ms();
  }
  return length_ms;
}

// Time in the course between two points that is in none.
uint64_t UnknownMs(const chaos::v1::TargetReport& target) {
  uint64_t unknown_ms = 0;
  for (int i = 1; i < target.points_size(); ++i) {
    const auto& last = target.points(i - 1);
    unknown_ms += target.points(i).offset_ms() - last.offset_ms() - last.length_ms();
  }
  return unknown_ms;
}

TEST(RecorderMoves, BeforeOutlivesTheAgentsNode) {
  Recorder dead(1), other(2);
  Agent agent(&dead);
  agent.Measure(200, kQuick);
  agent.Measure(70, kSlow, "e1");
  agent.Leave();
  agent.Measure(10, kSlow, "e1");
  agent.Join(&other, 1);
  agent.Measure(30, kSlow, "e1");
  agent.Measure(50, kQuick);
  const auto target = PartOf(&other).targets(0);
  EXPECT_EQ(Count(target.before()), 100u);
  EXPECT_EQ(target.before_age_ms(), 0u);
  EXPECT_EQ(Count(target.during()), 30u);
  EXPECT_EQ(Count(target.after()), 50u);
  EXPECT_EQ(target.missing_batches(), 80u);
  EXPECT_EQ(UnknownMs(target), 8'000u);
  EXPECT_EQ(target.points(10).offset_ms(), 18'000u);
  EXPECT_EQ(target.points(10).phase(), kDuring);
}

TEST(RecorderMoves, WhatBothNodesOfAnAgentHaveIsNeitherCountedTwiceNorMissing) {
  Recorder first(1), second(2);
  Agent agent(&first);
  agent.Measure(200, kQuick);
  agent.Measure(50, kSlow, "e1");
  agent.Join(&second, 1, /*again=*/20);
  agent.Measure(30, kSlow, "e1");
  agent.Join(&first, 2, /*again=*/20);
  agent.Measure(20, kSlow, "e1");
  agent.Measure(50, kQuick);
  for (const bool backwards : {false, true}) {
    std::vector parts = {PartOf(&first), PartOf(&second)};
    if (backwards) std::swap(parts[0], parts[1]);
    EXPECT_GT(parts[0].targets(0).missing_batches(), 0u) << "of which the other one has all";
    const auto target = Merged(parts);
    EXPECT_EQ(Count(target.before()), 100u);
    EXPECT_EQ(Count(target.during()), 100u);
    EXPECT_EQ(Count(target.after()), 50u);
    EXPECT_EQ(target.batches(), 150u);
    EXPECT_EQ(target.missing_batches(), 0u);
    EXPECT_EQ(UnknownMs(target), 0u);
    EXPECT_EQ(LengthMs(target, chaos::v1::REPORT_PHASE_BEFORE), 10'000u);
    EXPECT_EQ(LengthMs(target, kDuring), 10'000u);
  }
}

// Its stream broke, and nobody else was there meanwhile.
TEST(RecorderMoves, AnAgentThatComesBackGivesWhatItsNodeHasMissed) {
  Recorder recorder(1);
  Agent agent(&recorder);
  agent.Measure(100, kQuick);
  agent.Measure(10, kSlow, "e1");
  agent.Leave();
  agent.Measure(50, kSlow, "e1");
  agent.Join(&recorder, 1, /*again=*/20);
  agent.Measure(20, kSlow, "e1");
  const auto target = PartOf(&recorder).targets(0);
  EXPECT_EQ(Count(target.before()), 100u);
  EXPECT_EQ(Count(target.during()), 50u);
  EXPECT_EQ(target.missing_batches(), 30u);
  EXPECT_EQ(UnknownMs(target), 3'000u);
}

TEST(RecorderMoves, AnAgentThatWasAwayLeavesAGap) {
  Recorder recorder(1);
  Agent agent(&recorder);
  agent.Measure(100, kQuick);
  agent.Measure(50, kSlow, "e1");
  agent.Restart(30 * kSecond);
  agent.Measure(50, kSlow, "e1");
  const auto target = PartOf(&recorder).targets(0);
  EXPECT_EQ(target.missing_batches(), 0u) << "none was made";
  EXPECT_EQ(UnknownMs(target), 30'000u);
  EXPECT_EQ(target.points(15).offset_ms(), 45'000u);
  EXPECT_EQ(target.ranges_size(), 2);
}

// Its clock was set while nothing was missing.
TEST(RecorderMoves, AStepOfAClockIsNoGap) {
  Recorder recorder(1);
  Agent agent(&recorder);
  agent.Measure(100, kQuick);
  agent.Measure(50, kSlow, "e1");
  agent.now_ns += static_cast<int64_t>(3'600 * kSecond);
  agent.Measure(50, kSlow, "e1");
  agent.now_ns -= static_cast<int64_t>(7'200 * kSecond);
  agent.Measure(50, kSlow, "e1");
  EXPECT_EQ(UnknownMs(PartOf(&recorder).targets(0)), 0u);
}

// The same while no fault was on.
TEST(RecorderMoves, AStepOfAClockCostsNoBeforeAndMakesNoneOld) {
  for (const int64_t hours : {2, -2}) {
    for (const int since : {0, 30}) {
      Recorder recorder(1);
      Agent agent(&recorder);
      agent.Measure(100 - since, kQuick);
      agent.now_ns += hours * static_cast<int64_t>(3'600 * kSecond);
      agent.Measure(since, kQuick);
      agent.Measure(10, kSlow, "e1");
      const auto target = PartOf(&recorder).targets(0);
      EXPECT_EQ(Count(target.before()), 100u) << hours << " h, " << since;
      EXPECT_EQ(target.before_age_ms(), 0u);
      EXPECT_EQ(LengthMs(target, chaos::v1::REPORT_PHASE_BEFORE), 10'000u);
    }
  }
}

TEST(RecorderMoves, AStepOfAClockMakesNoTimeOfAnInterruptionBefore) {
  Recorder dead(1), other(2);
  Agent agent(&dead);
  agent.Measure(100, kQuick);
  agent.Measure(50, kSlow, "e1");
  agent.now_ns -= static_cast<int64_t>(3'600 * kSecond);
  agent.Measure(20, kQuick);  // its lease had run out
  agent.Measure(10, kSlow, "e1");
  agent.Join(&other, 1);
  agent.Measure(10, kSlow, "e1");
  EXPECT_EQ(Count(PartOf(&other).targets(0).before()), 80u);
}

// By two streams of one agent at once.
TEST(RecorderMoves, ABatchThatWasOvertakenIsNotMissingAndStartsNothingAnew) {
  Recorder recorder(1);
  Agent agent(&recorder);
  agent.Measure(20, kQuick);
  agent.Measure(10, kSlow, "e1");
  agent.MeasureOvertaken(kSlow, "e1");
  agent.Measure(10, kSlow, "e1");
  const auto target = PartOf(&recorder).targets(0);
  EXPECT_EQ(target.faults(0).counters().matched(), 22u);
  EXPECT_EQ(Count(target.during()), 21u);
  EXPECT_EQ(target.missing_batches(), 0u);
}

TEST(RecorderMoves, ManyGapsStayWithinTheBoundsOfACourse) {
  Recorder recorder(1);
  Agent agent(&recorder);
  for (int i = 0; i < 2'000; ++i) {
    agent.Measure(2, kSlow, "e1");
    agent.sequence += 15;
    agent.now_ns += static_cast<int64_t>(15 * kInterval);
  }
  const auto target = PartOf(&recorder).targets(0);
  EXPECT_LE(static_cast<size_t>(target.points_size()), TargetCourse::kMaxPoints);
  EXPECT_EQ(LengthMs(target, kDuring), 400'000u);
  EXPECT_EQ(target.missing_batches(), 1'999u * 15);
}

TEST(RecorderMoves, AFaultThatComesAndGoesStaysWithinTheBoundsOfACourse) {
  Recorder recorder(1);
  Agent agent(&recorder);
  for (int i = 0; i < 5'000; ++i) {
    agent.Measure(1, kSlow, "e1");
    agent.Measure(1, kQuick);
  }
  const auto target = PartOf(&recorder).targets(0);
  EXPECT_LE(static_cast<size_t>(target.points_size()), TargetCourse::kMaxPoints);
  EXPECT_GT(target.points_size(), 40);
  uint64_t requests = 0;
  for (const auto& point : target.points()) requests += point.requests();
  EXPECT_EQ(requests, 10'000u);
  EXPECT_EQ(target.points().rbegin()->offset_ms() + target.points().rbegin()->length_ms(),
            1'000'000u);
}

TEST(RecorderMoves, WhatAFaultLostBeforeTheAgentCameIsInNoPoint) {
  Recorder dead(1), other(2);
  Agent agent(&dead);
  agent.Measure(100, kQuick);
  agent.Measure(70, kSlow, "e1");
  agent.Join(&other, 1);
  agent.Measure(31, kSlow, "e1");
  const auto target = PartOf(&other).targets(0);
  uint64_t dropped = 0;
  for (const auto& point : target.points()) dropped += point.dropped();
  EXPECT_EQ(dropped, 30u) << "since the first batch that came here";
  EXPECT_EQ(target.faults(0).counters().dropped(), 101u);
}

// The target was under another experiment's fault meanwhile.
TEST(RecorderMoves, AnOldBeforeSaysHowOldItIsAndAVeryOldOneIsLeftOut) {
  for (const bool very_old : {false, true}) {
    Recorder recorder(1);
    Agent agent(&recorder);
    agent.Measure(100, kQuick);
    const int tenths = very_old ? 36'100 : 18'000;
    agent.Measure(tenths, kSlow, "other");
    agent.Measure(10, kSlow, "e1");
    const auto target = PartOf(&recorder).targets(0);
    EXPECT_EQ(Count(target.before()), very_old ? 0u : 100u);
    EXPECT_EQ(target.before_age_ms(), very_old ? 0u : 1'800'000u);
    EXPECT_EQ(UnknownMs(target), 0u) << "it would be most of the picture";
  }
}

// There was no room for it in what the agent gave.
TEST(RecorderMoves, ATargetThatWasNotGivenHasBeforeFromWhatIsSentAgain) {
  Recorder recorder(1);
  Agent agent(&recorder);
  agent.Measure(50, kQuick);
  agent.Leave();
  agent.Measure(50, kQuick);
  agent.given_target = "a/another";
  agent.Join(&recorder, 1, 50);
  agent.Measure(10, kSlow, "e1");
  EXPECT_EQ(Count(PartOf(&recorder).targets(0).before()), 100u);
}

TEST(RecorderMoves, TimeInWhichTheFaultWasInterruptedIsNotBefore) {
  Recorder dead(1), other(2);
  Agent agent(&dead);
  agent.Measure(100, kQuick);
  agent.Measure(50, kSlow, "e1");
  agent.Measure(20, kQuick);  // its lease had run out
  agent.Measure(10, kSlow, "e1");
  agent.Join(&other, 1);
  agent.Measure(10, kSlow, "e1");
  const auto target = PartOf(&other).targets(0);
  EXPECT_EQ(Count(target.before()), 80u);
  EXPECT_EQ(target.missing_batches(), 80u);
  EXPECT_EQ(Merged({PartOf(&dead), PartOf(&other)}).missing_batches(), 0u);
}

TEST(RecorderMoves, BeforeVersion9OnlyTheNodeThatSawTheFaultBeginTellsOfBefore) {
  Recorder first(1), second(2);
  Agent agent(&first);
  agent.Measure(100, kQuick);
  agent.Measure(50, kSlow, "e1");
  agent.Join(&second, 1);
  agent.Measure(50, kSlow, "e1");
  std::vector parts = {PartOf(&first), PartOf(&second)};
  for (auto& part : parts) {
    EXPECT_GE(control::VersionOf(part), control::kTimesVersion);
    control::FitVersion(control::kTimesVersion - 1, &part);
    EXPECT_LT(control::VersionOf(part), control::kTimesVersion);
  }
  EXPECT_EQ(Count(parts[1].targets(0).before()), 0u);
  EXPECT_EQ(Count(Merged(parts).before()), 100u);
}

}  // namespace
}  // namespace faultline::server
