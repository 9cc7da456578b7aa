#include "cli/format.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <sstream>

#include "cli/table.h"

namespace faultline::cli {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

TEST(FormatDuration, ShowsTheTwoLargestUnits) {
  EXPECT_EQ(FormatDuration(int64_t{0}), "0s");
  EXPECT_EQ(FormatDuration(350'000'000), "350ms");
  EXPECT_EQ(FormatDuration(100), "1ms");
  EXPECT_EQ(FormatDuration(42 * kSecond), "42s");
  EXPECT_EQ(FormatDuration(598 * kSecond), "9m58s");
  EXPECT_EQ(FormatDuration(600 * kSecond), "10m00s");
  EXPECT_EQ(FormatDuration(7500 * kSecond), "2h05m");
  EXPECT_EQ(FormatDuration((3 * 24 + 4) * 3600 * kSecond), "3d04h");
  EXPECT_EQ(FormatDuration(-2 * kSecond), "-2s");
}

TEST(ToDuration, IsReadBackAsItWas) {
  const auto duration = ToDuration(std::chrono::nanoseconds(90 * kSecond + 7));
  EXPECT_EQ(duration.seconds(), 90);
  EXPECT_EQ(ToNanos(duration), 90 * kSecond + 7);
}

TEST(FormatTime, IsLocalAndTellsTheDayOnlyWhenItIsAnother) {
  ::setenv("TZ", "UTC-2", 1);  // two hours east
  ::tzset();
  const int64_t noon = 1'714'564'800 * kSecond;  // 2024-05-01 12:00:00 UTC
  EXPECT_EQ(FormatTime(noon, noon + 60 * kSecond), "14:00:00");
  EXPECT_EQ(FormatTime(noon, noon + 86'400 * kSecond), "2024-05-01 14:00:00");
  EXPECT_EQ(FormatTime(0, noon), "-");
}

TEST(FormatTime, ForOtherTimesAndPlacesHasDateAndOffset) {
  const int64_t noon = 1'714'564'800 * kSecond;  // 2024-05-01 12:00:00 UTC
  const std::vector<std::pair<const char*, std::string>> table = {
      {"UTC-2", "2024-05-01T14:00:00+02:00"},
      {"UTC", "2024-05-01T12:00:00+00:00"},
      {"UTC+3:30", "2024-05-01T08:30:00-03:30"},
      {"UTC-14", "2024-05-02T02:00:00+14:00"},
  };
  for (const auto& [zone, text] : table) {
    ::setenv("TZ", zone, 1);
    ::tzset();
    EXPECT_EQ(FormatIsoTime(noon), text);
  }
  EXPECT_EQ(FormatIsoTime(0), "-");
}

TEST(FormatRate, KeepsTwoDigitsOfWhatIsRare) {
  EXPECT_EQ(FormatRate(0), "0");
  EXPECT_EQ(FormatRate(0.312), "0.31");
  EXPECT_EQ(FormatRate(5), "5");
  EXPECT_EQ(FormatRate(57.6), "58");
  EXPECT_EQ(FormatRate(12'345), "12345");
}

TEST(NaturalLess, OrdersNumbersByTheirValue) {
  std::vector<std::string> texts = {"exp-10", "b",      "exp-9",   "exp-9/x10",
                                    "exp-",   "exp-09", "exp-9/x9"};
  std::sort(texts.begin(), texts.end(), NaturalLess());
  EXPECT_EQ(texts, (std::vector<std::string>{"b", "exp-", "exp-09", "exp-9", "exp-9/x9",
                                             "exp-9/x10", "exp-10"}));
  EXPECT_FALSE(NaturalLess()("exp-9", "exp-9"));
}

TEST(FormatLatency, KeepsThreeDigits) {
  EXPECT_EQ(FormatLatencyMs(0), "-");
  EXPECT_EQ(FormatLatencyMs(0.4824), "0.482 ms");
  EXPECT_EQ(FormatLatencyMs(1.234), "1.23 ms");
  EXPECT_EQ(FormatLatencyMs(12.34), "12.3 ms");
  EXPECT_EQ(FormatLatencyMs(103.4), "103 ms");
  EXPECT_EQ(FormatLatencyMs(1250), "1.25 s");
}

TEST(Sparkline, ScalesFromZeroToTheLargest) {
  const std::vector<double> values = {0, 50, 100};
  EXPECT_EQ(Sparkline(values, 10), "▁▅█");
}

TEST(Sparkline, ShowsTheLastValuesThatFit) {
  const std::vector<double> values = {100, 0, 0, 100};
  EXPECT_EQ(Sparkline(values, 2), "▁█");
}

TEST(Sparkline, LeavesABlankWhereNothingWasMeasured) {
  const std::vector<double> values = {-1, 5, -1};
  EXPECT_EQ(Sparkline(values, 10), " █ ");
  EXPECT_EQ(Sparkline({}, 10), "");
  const std::vector<double> zeros = {0, 0};
  EXPECT_EQ(Sparkline(zeros, 10), "▁▁");
}

TEST(Sparkline, IsAsciiWhereThereAreNoBlocks) {
  const std::vector<double> values = {0, -1, 50, 100};
  EXPECT_EQ(Sparkline(values, 10, /*utf8=*/false), ". +@");
}

TEST(Table, AlignsColumnsByWhatIsSeen) {
  std::ostringstream out, err;
  Output output(out, err, {.out = true, .color = true, .columns = 80});
  Table table({"A", "LONG", "C"});
  table.Row({Cell("wide", Style::kGood), Cell("é"), Cell("x")});
  table.Row({Cell(""), Cell("1"), Cell("")});
  table.Print(output);
  EXPECT_EQ(out.str(),
            "\033[2mA\033[0m     \033[2mLONG\033[0m  \033[2mC\033[0m\n"
            "\033[32mwide\033[0m  é     x\n"
            "-     1     -\n");
}

TEST(Clipped, CutsWhatIsSeenAndKeepsColors) {
  EXPECT_EQ(Clipped("abcdef", 6), "abcdef");
  EXPECT_EQ(Clipped("abcdef", 4), "abcd");
  EXPECT_EQ(Clipped("▁▂▃", 2), "▁▂");
  EXPECT_EQ(Clipped("\033[2mabc\033[0m", 2), "\033[2mab\033[0m");
}

}  // namespace
}  // namespace faultline::cli
