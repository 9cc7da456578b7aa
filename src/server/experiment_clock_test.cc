#include "server/experiment_clock.h"

#include <gtest/gtest.h>

#include "base/clock.h"

namespace faultline::server {
namespace {

constexpr int64_t kHourMs = 3'600'000;
constexpr int64_t kOwnMs = 1'700'000'000'000;

// Seconds after the start.
constexpr uint64_t At(uint64_t seconds) { return (50 + seconds) * kNanosPerSecond; }

TEST(ExperimentClock, IsThisMachinesOwnWhileNothingIsUnderWay) {
  ExperimentClock clock;
  EXPECT_EQ(clock.NowMs(/*idle=*/true, At(0), kOwnMs), kOwnMs);
  EXPECT_EQ(clock.NowMs(/*idle=*/true, At(1), kOwnMs + kHourMs), kOwnMs + kHourMs);
  EXPECT_EQ(clock.NowMs(/*idle=*/true, At(2), kOwnMs - kHourMs), kOwnMs - kHourMs);
}

TEST(ExperimentClock, GoesOnWhileAnExperimentIsUnderWayWhateverTheOwnIsSetTo) {
  for (const int64_t step_ms : {5 * kHourMs, -5 * kHourMs}) {
    ExperimentClock clock;
    clock.NowMs(/*idle=*/true, At(0), kOwnMs);
    EXPECT_EQ(clock.NowMs(/*idle=*/false, At(1), kOwnMs + 1'000), kOwnMs + 1'000);
    EXPECT_EQ(clock.NowMs(/*idle=*/false, At(2), kOwnMs + step_ms), kOwnMs + 2'000);
    EXPECT_EQ(clock.NowMs(/*idle=*/false, At(600), kOwnMs + step_ms), kOwnMs + 600'000);
    EXPECT_EQ(clock.NowMs(/*idle=*/true, At(601), kOwnMs + step_ms), kOwnMs + step_ms);
  }
}

TEST(ExperimentClock, OfANodeThatIsStartedInTheMiddleIsItsOwnOnce) {
  ExperimentClock clock;
  EXPECT_EQ(clock.NowMs(/*idle=*/false, At(0), kOwnMs), kOwnMs);
  EXPECT_EQ(clock.NowMs(/*idle=*/false, At(1), kOwnMs + kHourMs), kOwnMs + 1'000);
}

TEST(ExperimentClock, KnowsForHowLongAnExperimentHasBeenKnownAndForgetsThoseThatEnded) {
  ExperimentClock clock;
  clock.Tell(7, At(0), {7});
  clock.Tell(7, At(3), {7});
  EXPECT_EQ(clock.KnownMs(7, At(5)), 5'000) << "since it was told of first";
  EXPECT_EQ(clock.KnownMs(8, At(5)), INT64_MAX);
  for (uint64_t index = 10; index < 1'000; ++index) clock.Tell(index, At(5), {7, index});
  EXPECT_EQ(clock.KnownMs(7, At(5)), 5'000);
  EXPECT_EQ(clock.KnownMs(10, At(5)), INT64_MAX);
}

}  // namespace
}  // namespace faultline::server
