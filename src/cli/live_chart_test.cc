#include "cli/live_chart.h"

#include <gmock/gmock.h>

#include <sstream>

#include "cli/format.h"

namespace faultline::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr uint64_t kSecond = 1'000'000'000;
constexpr Terminal kTerminal{.out = true, .color = false, .columns = 60, .rows = 16};

chaos::v1::MetricUpdate Update(const std::string& target, double latency_ms, uint64_t requests,
                               int64_t drops = 0, const std::string& experiment = "e1") {
  chaos::v1::MetricUpdate update;
  update.set_experiment_id(experiment);
  update.set_target_id(target);
  update.set_packet_drops(drops);
  Histogram histogram;
  histogram.Record(static_cast<uint64_t>(latency_ms * 1e6), requests);
  *update.mutable_latency() = histogram.ToSparse();
  return update;
}

TEST(LiveChart, MergesTargetsByTheirHistograms) {
  LiveChart chart(kTerminal, false);
  chart.Add(Update("a/x", 1, 90), kSecond);
  chart.Add(Update("b/x", 100, 10), kSecond + 1);
  const std::string line = chart.LinesUntil(2 * kSecond);
  EXPECT_THAT(line, HasSubstr("all targets  p50 1.00 ms  p90 1.00 ms  p99 "));
  EXPECT_THAT(line, HasSubstr("requests 100/s"));
  EXPECT_EQ(chart.LinesUntil(2 * kSecond), "");
}

TEST(LiveChart, APointOfAnEndedCourseIsALine) {
  auto point = Update("a/x", 1, 10);
  EXPECT_FALSE(IsPast(point));
  point.mutable_position()->set_incarnation(7);
  EXPECT_FALSE(IsPast(point));
  point.mutable_position()->set_incarnation(0);
  point.clear_latency();
  EXPECT_TRUE(IsPast(point));
  point.set_timestamp_ns(1'700'000'000 * static_cast<int64_t>(kSecond));
  point.set_p50_latency_ms(100.4);
  point.set_p99_latency_ms(102.7);
  point.set_requests_per_second(57.6);
  point.set_drops_per_second(2);
  EXPECT_THAT(PastLine(point, point.timestamp_ns()),
              testing::EndsWith("  a/x  p50 100 ms  p99 103 ms  requests 58/s  dropped 2/s\n"));
}

TEST(LiveChart, CountsATargetOfTwoExperimentsOnceAndTheirDropsOfEachSecond) {
  LiveChart chart(kTerminal, false);
  chart.Add(Update("a/x", 1, 50, 100), kSecond);
  chart.Add(Update("a/x", 1, 50, 7, "e2"), kSecond);
  chart.Add(Update("a/x", 1, 50, 103), kSecond + 1);
  chart.Add(Update("a/x", 1, 50, 9, "e2"), kSecond + 1);
  const std::string line = chart.LinesUntil(2 * kSecond);
  EXPECT_THAT(line, HasSubstr("requests 100/s  dropped 5/s"));
}

TEST(LiveChart, TellsHandshakesAndWhatElseWasSeenInASecond) {
  LiveChart chart({.out = true, .color = false, .columns = 200, .rows = 16}, false);
  auto update = Update("h/a", 5, 10);
  *update.mutable_traffic()->mutable_handshake() = Update("h/a", 2, 3).latency();
  update.mutable_traffic()->set_resets_sent(2);
  update.set_missed_batches(3);
  chart.Add(update, kSecond);
  chart.Add(update, kSecond);
  const std::string lines = chart.LinesUntil(2 * kSecond);
  EXPECT_THAT(lines, HasSubstr("  handshake p50 2."));
  EXPECT_THAT(lines, HasSubstr("  reset by target 4/s"));
  EXPECT_THAT(lines, HasSubstr("  6 measurements missed"));
  EXPECT_THAT(lines, Not(HasSubstr("merged")));
}

TEST(LiveChart, DrawsWithinTheTerminal) {
  LiveChart chart(kTerminal, true);
  for (uint64_t second = 1; second < 200; ++second) {
    for (char name = 'a'; name < 'f'; ++name) {
      chart.Add(Update(std::string("h/") + name, second < 190 ? 1 : 100, 10), second * kSecond);
    }
  }
  std::istringstream picture(chart.Picture(200 * kSecond));
  int lines = 0;
  for (std::string line; std::getline(picture, line); ++lines) {
    EXPECT_LE(DisplayWidth(line), 60u) << line;
  }
  EXPECT_LT(lines, kTerminal.rows);
  EXPECT_THAT(chart.Picture(200 * kSecond), HasSubstr("more targets"));
}

TEST(LiveChart, ShowsARiseAndALegend) {
  LiveChart chart(kTerminal, false);
  chart.Add(Update("a/x", 1, 10), kSecond);
  chart.Add(Update("a/x", 100, 10), 2 * kSecond);
  chart.Add(Update("a/x", 100, 10), 3 * kSecond);
  const std::string picture = chart.Picture(3 * kSecond);
  EXPECT_THAT(picture, HasSubstr(" ██\n"));  // the upper rows: not yet in the first second
  EXPECT_THAT(picture, HasSubstr("up to p99"));
  EXPECT_THAT(chart.Redraw(3 * kSecond), Not(HasSubstr("\033[")));
  EXPECT_THAT(chart.Redraw(3 * kSecond), HasSubstr("\033["));
}

TEST(LiveChart, SaysForHowLongNothingCameAndGoesOnWithoutIt) {
  LiveChart chart(kTerminal, false);
  chart.Add(Update("a/x", 1, 10), kSecond);
  EXPECT_THAT(chart.Picture(3 * kSecond), Not(HasSubstr("last update")));
  const std::string picture = chart.Picture(8 * kSecond);
  EXPECT_THAT(picture, HasSubstr("          last update 7s ago  █ up to p50"));
  EXPECT_THAT(picture, HasSubstr("requests 0/s"));
  chart.Add(Update("a/x", 1, 10), 9 * kSecond);
  EXPECT_THAT(chart.Picture(9 * kSecond), Not(HasSubstr("last update")));
}

TEST(LiveChart, ASecondInWhichNothingCameIsALineHoweverOftenItIsAskedFor) {
  LiveChart chart({}, true);
  chart.Add(Update("a/x", 1, 10), kSecond);
  std::string lines;
  for (uint64_t tenth = 10; tenth < 50; ++tenth) lines += chart.LinesUntil(tenth * kSecond / 10);
  chart.Add(Update("a/x", 1, 20), 5 * kSecond);
  chart.Add(Update("b/y", 1, 30), 5 * kSecond);
  lines += chart.LinesUntil(7 * kSecond);
  std::vector<std::string> told;
  std::istringstream text(lines);
  for (std::string line; std::getline(text, line);) {
    told.push_back(line.substr(0, 3) + line.substr(line.find("  requests")));
  }
  EXPECT_THAT(told, testing::ElementsAre(
                        "a/x  requests 10/s  dropped 0/s", "a/x  requests 0/s  dropped 0/s",
                        "a/x  requests 0/s  dropped 0/s", "a/x  requests 0/s  dropped 0/s",
                        "a/x  requests 20/s  dropped 0/s", "b/y  requests 30/s  dropped 0/s",
                        "a/x  requests 0/s  dropped 0/s", "b/y  requests 0/s  dropped 0/s"));
}

TEST(LiveChart, WaitsForMeasurements) {
  LiveChart chart(kTerminal, false);
  EXPECT_EQ(chart.Picture(kSecond), "waiting for measurements...\n");
  EXPECT_EQ(chart.LinesUntil(kSecond), "");
}

}  // namespace
}  // namespace faultline::cli
