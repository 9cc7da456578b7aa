// What a report's counters come to when a fault was armed more than once, or seen by two nodes.
#include <gtest/gtest.h>

#include "control/report_armings.h"
#include "control/report_parts.h"
#include "control/version.h"
#include "server/recorder_testing.h"

namespace faultline::server {
namespace {

using namespace recorder_testing;

constexpr uint64_t kQuick = 1'000'000, kSlow = 11'000'000;

// The agent went over in the middle of one arming, and came back.
TEST(RecorderArmings, OfAnArmingThatTwoNodesSawTheLargerCountersCount) {
  Recorder first(1), second(2);
  Agent agent(&first);
  agent.Measure(20, kQuick);
  agent.Measure(50, kSlow, "e1");
  agent.Join(&second, 1, /*again=*/10);
  agent.Measure(30, kSlow, "e1");
  agent.Join(&first, 2, /*again=*/10);
  agent.Measure(20, kSlow, "e1");
  agent.Measure(10, kQuick);
  for (const bool backwards : {false, true}) {
    std::vector parts = {PartOf(&first), PartOf(&second)};
    if (backwards) std::swap(parts[0], parts[1]);
    const auto counters = Merged(parts).faults(0).counters();
    EXPECT_EQ(counters.matched(), 100u);
    EXPECT_EQ(counters.delay_given_ns(), 1'000'000'000u);
  }
}

// The agent died at the second node, and its next start armed at the first one.
TEST(RecorderArmings, CountersOfTwoStartsOfAnAgentAreAddedUp) {
  Recorder first(1), second(2);
  Agent agent(&second);
  agent.Measure(20, kQuick);
  agent.Measure(100, kSlow, "e1");
  agent.Restart(5 * kSecond);
  agent.Join(&first, 0);
  agent.Measure(60, kSlow, "e1");
  for (const bool backwards : {false, true}) {
    std::vector parts = {PartOf(&first), PartOf(&second)};
    if (backwards) std::swap(parts[0], parts[1]);
    const auto target = Merged(parts);
    EXPECT_EQ(target.faults(0).counters().matched(), 160u);
    EXPECT_EQ(target.faults(0).counters().dropped(), 160u);
    EXPECT_EQ(Count(target.during()), 160u);
  }
}

// Its lease ran out on the way, and what was armed anew has passed what the other node had seen by
// the end, or when it is seen first.
TEST(RecorderArmings, CountersOfTwoArmingsOfOneStartAreAddedUp) {
  for (const bool passed : {false, true}) {
    Recorder first(1), second(2);
    Agent agent(&first);
    agent.Measure(20, kQuick);
    agent.Measure(30, kSlow, "e1");
    agent.Leave();
    agent.Measure(5, kQuick);
    agent.Join(&second, 1);
    agent.Measure(1, kQuick);
    agent.armed_for = passed ? 40 : 0;
    agent.Measure(passed ? 20 : 60, kSlow, "e1");
    agent.Measure(5, kQuick);
    std::vector parts = {PartOf(&first), PartOf(&second)};
    EXPECT_EQ(Merged(parts).faults(0).counters().matched(), 90u);
    std::swap(parts[0], parts[1]);
    EXPECT_EQ(Merged(parts).faults(0).counters().matched(), 90u);
  }
}

TEST(RecorderArmings, ANewStartWhoseCountersHavePassedTheOldOnesIsArmedAnew) {
  Recorder recorder(1);
  Agent agent(&recorder);
  agent.Measure(30, kSlow, "e1");
  agent.Restart(5 * kSecond);
  agent.Leave();
  agent.Measure(40, kSlow, "e1");
  agent.Join(&recorder, 2);
  agent.Measure(10, kSlow, "e1");
  EXPECT_EQ(PartOf(&recorder).targets(0).faults(0).counters().matched(), 80u);
}

// Its service was started anew, and is measured again when the fault has done more than before.
TEST(RecorderArmings, AFaultOnATargetThatHadNoPlaceIsArmedAnew) {
  Recorder recorder(1);
  Agent agent(&recorder);
  agent.Measure(20, kQuick);
  agent.Measure(3, kSlow, "e1");
  agent.MeasureNothing(5);
  agent.armed_for = 7;
  agent.Measure(1, kSlow, "e1");
  EXPECT_EQ(PartOf(&recorder).targets(0).faults(0).counters().matched(), 11u);
}

// What might have happened in a batch that is missing is another matter.
TEST(RecorderArmings, AFaultOnATargetThatHadNoPlaceMayHaveGoneOnWhenABatchIsMissing) {
  Recorder recorder(1);
  Agent agent(&recorder);
  agent.Measure(20, kQuick);
  agent.Measure(3, kSlow, "e1");
  agent.MeasureNothing(2);
  ++agent.sequence;
  agent.MeasureNothing(2);
  agent.armed_for = 7;
  agent.Measure(1, kSlow, "e1");
  EXPECT_EQ(PartOf(&recorder).targets(0).faults(0).counters().matched(), 8u);
}

// None of these restarts of its service takes the place of the arming that another node shares.
TEST(RecorderArmings, ArmingsThatOneNodeSawAsAWholeLeaveRoomForTheSharedOne) {
  Recorder first(1), second(2);
  Agent agent(&first);
  agent.Measure(50, kSlow, "e1");
  agent.Join(&second, 1);
  agent.Measure(50, kSlow, "e1");
  for (int i = 0; i < 2 * control::kMaxArmings; ++i) {
    agent.MeasureNothing(2);
    agent.armed_for = 0;
    agent.Measure(10, kSlow, "e1");
  }
  agent.Measure(1, kQuick);
  for (const bool backwards : {false, true}) {
    std::vector parts = {PartOf(&first), PartOf(&second)};
    if (backwards) std::swap(parts[0], parts[1]);
    EXPECT_EQ(Merged(parts).faults(0).counters().matched(), 100u + 20 * control::kMaxArmings);
  }
}

TEST(RecorderArmings, BeforeVersion10CountersAreToldWithoutTheirArmings) {
  Recorder recorder(1);
  Agent agent(&recorder);
  agent.Measure(30, kSlow, "e1");
  auto part = PartOf(&recorder);
  EXPECT_EQ(control::VersionOf(part), control::kArmingsVersion);
  EXPECT_EQ(part.targets(0).faults(0).armings_size(), 1);
  control::FitVersion(control::kArmingsVersion - 1, &part);
  EXPECT_EQ(control::VersionOf(part), control::kTimesVersion);
  EXPECT_EQ(part.targets(0).faults(0).armings_size(), 0);
  EXPECT_EQ(part.targets(0).faults(0).counters().matched(), 30u);
}

}  // namespace
}  // namespace faultline::server
