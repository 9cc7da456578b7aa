#include "bpf/pid_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace faultline::bpf {
namespace {

constexpr char kPath[] = "/run/shop.pid";
constexpr time_t kHour = 3600;

const auto kOwn = static_cast<uint64_t>(getpid());

timespec At(time_t seconds) { return {.tv_sec = seconds, .tv_nsec = 5}; }

TEST(PidFiles, AProcessThatIsYoungerThanItsFileIsAnothers) {
  const time_t now = time(nullptr);
  PidFiles files;
  EXPECT_FALSE(files.Means(kPath, At(now - kHour), kOwn, now));
  EXPECT_TRUE(files.Means(kPath, At(now), kOwn, now));
}

TEST(PidFiles, WhatIsKnownDoesNotGoByTheUnixClock) {
  const time_t now = time(nullptr);
  for (const time_t step : {-kHour, kHour}) {
    PidFiles files;
    EXPECT_TRUE(files.Means(kPath, At(now), kOwn, now));
    EXPECT_TRUE(files.Means(kPath, At(now), kOwn, now + step)) << step;
  }
  PidFiles fresh;
  EXPECT_FALSE(fresh.Means(kPath, At(now), kOwn, now + kHour)) << "what the step would do";
}

TEST(PidFiles, WhatHasBeenWrittenAgainIsLookedAtAnew) {
  const time_t now = time(nullptr);
  PidFiles files;
  EXPECT_TRUE(files.Means(kPath, At(now), kOwn, now));
  EXPECT_FALSE(files.Means(kPath, At(now - kHour), kOwn, now));
  EXPECT_FALSE(files.Means("/run/other.pid", At(now), kOwn, now + kHour)) << "another file";
}

TEST(StartOf, IsKnownOfWhatRunsOnly) {
  constexpr uint64_t kNobody = 4194305;  // above the highest number
  EXPECT_GT(StartOf(kOwn), 0u);
  EXPECT_EQ(StartOf(kNobody), 0u);
}

}  // namespace
}  // namespace faultline::bpf
