#include "base/time_range.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace faultline {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::nanoseconds;
using std::chrono::seconds;

TEST(ParseTime, ReadsWhatPeopleWrite) {
  const std::vector<std::pair<const char*, nanoseconds>> table = {
      {"90", seconds(90)},       {"90s", seconds(90)},       {"10m", minutes(10)},
      {"1h30m", minutes(90)},    {"1.5h", minutes(90)},      {"250 ms", milliseconds(250)},
      {"1m30s", seconds(90)},    {"0.5", milliseconds(500)}, {"0", nanoseconds(0)},
      {"87600h", hours(87'600)}, {"7ns", nanoseconds(7)},    {"1MS", milliseconds(1)},
  };
  for (const auto& [text, time] : table) EXPECT_EQ(ParseTime(text), time) << text;
}

TEST(ParseTime, RefusesWhatIsNoTimeOrIsTooLong) {
  for (const char* text : {"", " ", "-5s", "10x", "m", "1m30", "1h 30m", "10s ", "1e30", "1e300h",
                           "nan", "inf", "1..5s", "10000000000", "99999999999999999999h"}) {
    EXPECT_EQ(ParseTime(text), std::nullopt) << text;
  }
}

TEST(TimeRange, HasItsEnds) {
  const TimeRange range{milliseconds(500), seconds(60)};
  EXPECT_TRUE(range.Has(milliseconds(500)));
  EXPECT_TRUE(range.Has(seconds(60)));
  EXPECT_FALSE(range.Has(milliseconds(500) - nanoseconds(1)));
  EXPECT_FALSE(range.Has(seconds(60) + nanoseconds(1)));
}

TEST(TimeRange, IsSaidInUnitsThatFit) {
  EXPECT_EQ((TimeRange{milliseconds(500), seconds(60)}).Text(), "500 ms to 60 s");
  EXPECT_EQ((TimeRange{seconds(1), hours(24)}).Text(), "1 s to 24 h");
  EXPECT_EQ((TimeRange{seconds(0), minutes(10)}).Text(), "0 s to 10 m");
}

}  // namespace
}  // namespace faultline
