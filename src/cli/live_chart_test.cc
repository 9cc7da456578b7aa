#include "cli/live_chart.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <sstream>

#include "cli/format.h"

namespace faultline::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr uint64_t kSecond = 1'000'000'000;
constexpr Terminal kTerminal{.out = true, .color = false, .columns = 60, .rows = 16};

int64_t Lines(const std::string& text) { return std::count(text.begin(), text.end(), '\n'); }

// What was measured in a second, as a batch that no other update stands for.
chaos::v1::MetricUpdate Update(const std::string& target, double latency_ms, uint64_t requests,
                               int64_t drops = 0, const std::string& experiment = "e1") {
  static uint64_t batches = 0;
  chaos::v1::MetricUpdate update;
  update.mutable_position()->set_incarnation(7);
  update.mutable_position()->set_sequence(++batches);
  update.set_interval_ns(kSecond);
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

TEST(LiveChart, CountsATargetOfTwoExperimentsOnceAndTheDropsOfBoth) {
  LiveChart chart(kTerminal, false);
  for (int64_t half = 0; half < 2; ++half) {
    auto update = Update("a/x", 1, 50, 100 + 3 * half);
    update.set_interval_ns(kSecond / 2);
    chart.Add(update, kSecond);
    update.set_experiment_id("e2");
    update.set_packet_drops(7 + 2 * half);
    chart.Add(update, kSecond);
  }
  // Drops are known of the second half.
  EXPECT_THAT(chart.LinesUntil(2 * kSecond), HasSubstr("requests 100/s  dropped 10/s"));
}

TEST(LiveChart, CountsTheDropsOfATargetOnceThatIsObservedByItselfToo) {
  LiveChart chart(kTerminal, false);
  for (int64_t second = 1; second <= 2; ++second) {
    for (const char* experiment : {"e1", "e2", ""}) {
      auto update = Update("a/x", 1, 50, (*experiment == '\0' ? 10 : 5) * second);
      update.set_experiment_id(experiment);
      chart.Add(update, static_cast<uint64_t>(second) * kSecond);
    }
  }
  EXPECT_THAT(chart.LinesUntil(3 * kSecond), testing::EndsWith("dropped 10/s\n"));
}

TEST(LiveChart, TheEndTellsThePresentSecondIfSomethingCameInIt) {
  LiveChart chart(kTerminal, false);
  chart.Add(Update("a/x", 1, 50), kSecond);
  EXPECT_EQ(chart.LinesUntil(kSecond + 1), "");
  EXPECT_THAT(chart.LinesToTheEnd(kSecond + 2), HasSubstr("requests 50/s"));
  chart.Add(Update("a/x", 1, 50), 2 * kSecond);
  chart.LinesUntil(3 * kSecond);
  EXPECT_EQ(chart.LinesToTheEnd(3 * kSecond + 1), "");
}

TEST(LiveChart, GoesOnWithAnotherExperimentOfATargetWhenOneHasEnded) {
  LiveChart chart(kTerminal, false);
  for (const uint64_t second : {1, 2, 3, 4}) {
    auto update = Update("a/x", 1, 10);
    if (second <= 2) chart.Add(update, second * kSecond);
    update.set_experiment_id("e2");
    if (second >= 2) chart.Add(update, second * kSecond);
  }
  const std::string lines = chart.LinesUntil(5 * kSecond);
  EXPECT_EQ(Lines(lines), 4);
  std::istringstream text(lines);
  for (std::string line; std::getline(text, line);) EXPECT_THAT(line, HasSubstr("requests 10/s"));
}

TEST(LiveChart, CountsNoBatchAgainThatAnotherExperimentsUpdateStandsForAmongOthers) {
  LiveChart chart(kTerminal, false);
  auto update = Update("a/x", 1, 10);
  const uint64_t sequence = update.position().sequence() + 100;
  update.mutable_position()->set_sequence(sequence);
  chart.Add(update, kSecond);
  update.set_experiment_id("e2");
  update.set_merged_batches(5);
  update.mutable_position()->set_sequence(sequence + 5);  // the one before, and five more
  chart.Add(update, kSecond);
  EXPECT_THAT(chart.LinesUntil(2 * kSecond), Not(HasSubstr("merged")));
  update.mutable_position()->set_sequence(sequence + 11);
  chart.Add(update, 2 * kSecond);
  EXPECT_THAT(chart.LinesUntil(3 * kSecond), HasSubstr("5 measurements merged"));
  update.mutable_position()->set_incarnation(8);  // the agent was started anew
  update.mutable_position()->set_sequence(6);
  chart.Add(update, 3 * kSecond);
  EXPECT_THAT(chart.LinesUntil(4 * kSecond), HasSubstr("5 measurements merged"));
}

TEST(LiveChart, RatesAreByTheTimeThatWasMeasured) {
  LiveChart chart(kTerminal, false);
  chart.Add(Update("a/x", 1, 1), kSecond);
  auto slow = Update("a/x", 1, 100, 50);
  slow.set_interval_ns(10 * kSecond);
  slow.mutable_traffic()->set_resets_sent(20);
  chart.Add(slow, 2 * kSecond);
  EXPECT_THAT(chart.LinesUntil(3 * kSecond),
              testing::EndsWith("requests 10/s  dropped 5/s  reset by target 2/s\n"));
  // Targets are measured at the same time.
  chart.Add(Update("a/x", 1, 30, 50), 4 * kSecond);
  slow = Update("b/y", 1, 100);
  slow.set_interval_ns(10 * kSecond);
  chart.Add(slow, 4 * kSecond);
  EXPECT_THAT(chart.LinesUntil(5 * kSecond), testing::EndsWith("requests 40/s  dropped 0/s\n"));
  // Drops of the batches that are missed are told with those after them.
  auto late = Update("a/x", 1, 30, 90);
  late.set_missed_batches(3);
  chart.Add(late, 5 * kSecond);
  EXPECT_THAT(chart.LinesUntil(6 * kSecond), HasSubstr("requests 30/s  dropped 10/s"));
}

TEST(LiveChart, HoldsTheBucketsOfThePresentSecondAndTheOneBefore) {
  LiveChart chart(kTerminal, true);
  for (uint64_t second = 1; second <= 30; ++second) {
    for (int target = 0; target < 20; ++target) {
      chart.Add(Update("h/" + std::to_string(target), second == 1 ? 100 : 1, 10), second * kSecond);
    }
    chart.Picture(second * kSecond);
  }
  EXPECT_EQ(chart.detailed_seconds(), 40u);
  const std::string picture = chart.Picture(30 * kSecond);
  EXPECT_THAT(picture, HasSubstr("  █  ")) << "the first second was slow";
}

TEST(LiveChart, ALineTellsAllOfItsSecondHoweverLateItIsPrinted) {
  LiveChart chart({}, false);
  auto update = Update("h/a", 5, 10);
  *update.mutable_traffic()->mutable_handshake() = Update("h/a", 2, 3).latency();
  chart.Add(update, kSecond);
  chart.Add(Update("h/a", 5, 10), 9 * kSecond);
  EXPECT_THAT(chart.LinesUntil(10 * kSecond), HasSubstr("  handshake p50 2."));
  chart.Add(Update("h/a", 5, 10), 12 * kSecond);
  EXPECT_EQ(chart.detailed_seconds(), 1u);
}

TEST(LiveChart, TellsHandshakesAndWhatElseWasSeenInASecond) {
  LiveChart chart({.out = true, .color = false, .columns = 200, .rows = 16}, false);
  auto update = Update("h/a", 5, 10);
  *update.mutable_traffic()->mutable_handshake() = Update("h/a", 2, 3).latency();
  update.mutable_traffic()->set_resets_sent(2);
  update.set_missed_batches(3);
  update.set_interval_ns(kSecond / 2);
  chart.Add(update, kSecond);
  update.mutable_position()->set_sequence(update.position().sequence() + 4);
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

TEST(LiveChart, FitsATerminalOfAnyHeight) {
  for (const bool per_target : {false, true}) {
    LiveChart chart(kTerminal, per_target);
    for (char name = 'a'; name < 'f'; ++name) {
      chart.Add(Update(std::string("h/") + name, 1, 10), kSecond);
    }
    for (int rows = 1; rows <= 40; ++rows) {
      chart.set_terminal({.out = true, .color = false, .columns = 100, .rows = rows});
      for (const uint64_t second : {1, 10}) {
        const std::string picture = chart.Picture(second * kSecond);
        EXPECT_LE(Lines(picture), std::max(rows - 1, 1)) << rows << " rows:\n" << picture;
        EXPECT_THAT(picture, HasSubstr("  p50 "));
        EXPECT_EQ(picture.find("up to p99") != std::string::npos, rows >= 6) << rows;
        EXPECT_EQ(picture.find("last update") != std::string::npos, second == 10) << rows;
      }
    }
  }
}

TEST(LiveChart, IsAsciiWhereThereAreNoBlocks) {
  Terminal terminal = kTerminal;
  terminal.utf8 = false;
  LiveChart chart(terminal, false);
  chart.Add(Update("a/x", 1, 10), kSecond);
  chart.Add(Update("a/x", 100, 10), 2 * kSecond);
  const std::string picture = chart.Picture(2 * kSecond);
  EXPECT_TRUE(std::all_of(picture.begin(), picture.end(), [](unsigned char c) { return c < 0x80; }))
      << picture;
  EXPECT_THAT(picture, HasSubstr(" #\n"));
  EXPECT_THAT(picture, HasSubstr("# up to p50  : up to p99"));
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
  EXPECT_THAT(picture, HasSubstr("requests -  dropped -"));
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
  const std::string nothing = "  requests -  dropped -";
  EXPECT_THAT(told, testing::ElementsAre(
                        "a/x  requests 10/s  dropped 0/s", "a/x" + nothing, "a/x" + nothing,
                        "a/x" + nothing, "a/x  requests 20/s  dropped 0/s",
                        "b/y  requests 30/s  dropped 0/s", "a/x" + nothing, "b/y" + nothing));
}

TEST(LiveChart, WaitsForMeasurements) {
  LiveChart chart(kTerminal, false);
  EXPECT_EQ(chart.Picture(kSecond), "waiting for measurements...\n");
  EXPECT_EQ(chart.LinesUntil(kSecond), "");
}

}  // namespace
}  // namespace faultline::cli
