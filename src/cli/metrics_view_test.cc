#include "cli/metrics_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "cli/format.h"

namespace faultline::cli {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr uint64_t kSecond = 1'000'000'000;
const Terminal kTerminal{.out = true, .color = false, .columns = 100};

chaos::v1::MetricUpdate Update(const std::string& target, double p99_ms, uint64_t requests = 10) {
  chaos::v1::MetricUpdate update;
  update.set_experiment_id("x1");
  update.set_target_id(target);
  update.set_p99_latency_ms(p99_ms);
  update.set_p50_latency_ms(p99_ms / 2);
  update.set_request_count(requests);
  update.set_packet_drops(7);
  update.set_measurable(true);
  return update;
}

TEST(MetricsView, HasALineForEachTargetWithItsHistory) {
  MetricsView view(kTerminal);
  view.Add(Update("h/a", 10), 1);
  view.Add(Update("h/a", 100), 2);
  view.Add(Update("h/b", 3), 3);
  EXPECT_EQ(view.Picture(4),
            "EXPERIMENT  TARGET  P99      P50      REQUESTS/S  DROPPED  P99 OVER TIME\n"
            "x1          h/a     100 ms   50.0 ms  10          7        ▁█\n"
            "x1          h/b     3.00 ms  1.50 ms  10          7        █\n");
}

TEST(MetricsView, ShowsTheDelayGivenBesideTheDelayAskedWhereThereIsRoom) {
  MetricsView view(kTerminal);
  auto update = Update("h/a", 10);
  auto* fault = update.add_faults();
  fault->set_delayed(5);
  fault->set_delays_measured(4);
  fault->set_delay_given_ns(401'000'000);
  fault->set_delay_asked_ns(400'000'000);
  view.Add(update, 1);
  EXPECT_THAT(view.Picture(2), HasSubstr("  100 ms / 100 ms  "));
  view.set_terminal({.out = true, .color = false, .columns = 80});
  EXPECT_THAT(view.Picture(2), Not(HasSubstr("ASKED")));
  EXPECT_THAT(view.Picture(2), HasSubstr("█"));
}

TEST(MetricsView, ShowsWhatPacketsOfTheSlowestFaultWaited) {
  MetricsView view({.out = true, .color = false, .columns = 120});
  auto update = Update("h/a", 10);
  view.Add(update, 1);
  EXPECT_THAT(view.Picture(2), Not(HasSubstr("WAITED")));
  for (const double p50_ms : {20.0, 300.0, 4.0}) {
    auto* delays = update.add_fault_delays();
    delays->set_packets(10);
    delays->set_p50_ms(p50_ms);
    delays->set_p99_ms(2 * p50_ms);
  }
  view.Add(update, 3);
  EXPECT_THAT(view.Picture(4), HasSubstr("  WAITED P50 / P99  "));
  EXPECT_THAT(view.Picture(4), HasSubstr("  300 ms / 600 ms "));
}

TEST(MetricsView, TellsOfDelaysThatAreInNoPercentile) {
  MetricsView view({.out = true, .color = false, .columns = 120});
  auto update = Update("h/a", 10);
  update.add_fault_delays()->set_packets(10);
  view.Add(update, 1);
  EXPECT_THAT(view.Picture(2), Not(HasSubstr("no percentile")));
  for (const uint64_t no_room : {2u, 3u}) {
    update.mutable_fault_delays(0)->set_no_room(no_room);
    view.Add(update, 3);
  }
  EXPECT_THAT(view.Picture(4), HasSubstr("\nh/a: 5 delayed packets are in no percentile: its "
                                         "agent had no room for so many different delays\n"));
}

TEST(MetricsView, TellsBelowTheTableWhatWasSeenSinceItBegan) {
  MetricsView view(kTerminal);
  auto update = Update("h/a", 10);
  update.set_handshake_count(1);
  update.set_p50_handshake_ms(1.5);
  update.mutable_traffic()->set_refused_sent(2);
  update.mutable_traffic()->set_resets_received(1);
  view.Add(update, 1);
  view.Add(update, 2);
  EXPECT_THAT(view.Picture(3), HasSubstr("  HANDSHAKE  "));
  EXPECT_THAT(view.Picture(3), HasSubstr("  1.50 ms  "));
  EXPECT_THAT(view.Picture(3), HasSubstr("\nh/a: 4 refused by target, 2 reset by peer\n"));
  update.set_experiment_id("x2");
  view.Add(update, 3);
  const std::string picture = view.Picture(3);
  EXPECT_EQ(picture.find("h/a: "), picture.rfind("h/a: ")) << picture;
}

TEST(MetricsView, TellsOfMeasurementsThatWereMergedOrMissed) {
  MetricsView view(kTerminal);
  auto update = Update("h/a", 10);
  view.Add(update, 1);
  EXPECT_THAT(view.Picture(2), Not(HasSubstr("measurements")));
  update.set_merged_batches(9);
  view.Add(update, 3);
  update.set_missed_batches(2);
  view.Add(update, 4);
  EXPECT_THAT(view.Picture(5), HasSubstr("\nh/a: 18 measurements merged, 2 measurements missed\n"));
}

TEST(MetricsView, StaysWithinANarrowAndLowTerminal) {
  MetricsView view({.out = true, .color = true, .columns = 40, .rows = 6});
  for (char name = 'a'; name < 'h'; ++name) view.Add(Update(std::string("h/") + name, 10), 0);
  const std::string picture = view.Picture(10 * kSecond);
  EXPECT_EQ(std::count(picture.begin(), picture.end(), '\n'), 5);
  EXPECT_THAT(picture, HasSubstr("last update 10s ago"));
  EXPECT_THAT(picture, HasSubstr("(5 more lines)"));
  std::istringstream lines(picture);
  for (std::string line; std::getline(lines, line);) EXPECT_EQ(Clipped(line, 40), line);
}

TEST(MetricsView, StartsAnewWhenTheTerminalIsResized) {
  MetricsView view(kTerminal);
  view.Redraw(0);
  view.set_terminal({.out = true, .color = false, .columns = 50});
  EXPECT_THAT(view.Redraw(1), StartsWith("\033[2J\033[H"));
  EXPECT_THAT(view.Redraw(2), StartsWith("\r\033[1A\033[J"));
}

TEST(MetricsView, SaysThatItWaitsBeforeTheFirstUpdate) {
  EXPECT_EQ(MetricsView(kTerminal).Picture(0), "waiting for measurements...\n");
}

TEST(MetricsView, ShowsNoNumberWhereNothingWasMeasured) {
  MetricsView view(kTerminal);
  view.Add(Update("h/a", 0, 0), 1);
  EXPECT_THAT(view.Picture(1), HasSubstr("h/a     -    -    0 "));
}

TEST(MetricsView, SaysWhyTrafficCannotBeMeasured) {
  MetricsView view(kTerminal);
  auto update = Update("h/a", 1);
  update.set_measurable(false);
  update.set_not_measurable_reason("requests overlap");
  view.Add(update, 1);
  EXPECT_THAT(view.Picture(1), HasSubstr("\nh/a is not measurable: requests overlap\n"));
}

TEST(MetricsView, ASilentLineIsFaint) {
  MetricsView view({.out = true, .color = true, .columns = 100});
  view.Add(Update("h/a", 10), kSecond);
  EXPECT_THAT(view.Picture(2 * kSecond), Not(HasSubstr("\033[2mh/a")));
  EXPECT_THAT(view.Picture(10 * kSecond), HasSubstr("\033[2mh/a"));
}

// What stands first in each line below the headings, of this many columns.
std::vector<std::string> Beginnings(const std::string& picture, size_t columns) {
  std::vector<std::string> beginnings;
  std::istringstream lines(picture);
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line)) beginnings.push_back(line.substr(0, columns));
  return beginnings;
}

chaos::v1::MetricUpdate Of(const std::string& experiment, const std::string& target) {
  auto update = Update(target, 10);
  update.set_experiment_id(experiment);
  return update;
}

TEST(MetricsView, ShowsRequestsAsARate) {
  MetricsView view(kTerminal);
  auto update = Update("h/a", 10, 370);
  update.set_requests_per_second(37);
  view.Add(update, 1);
  EXPECT_THAT(view.Picture(1), HasSubstr("  37 "));
  EXPECT_THAT(view.Picture(1), Not(HasSubstr("370")));
}

TEST(MetricsView, OrdersExperimentsAndTargetsByTheirNumbers) {
  MetricsView view(kTerminal);
  for (const char* experiment : {"exp-10", "exp-9"}) {
    for (const char* target : {"h/10", "h/9"}) view.Add(Of(experiment, target), 1);
  }
  EXPECT_THAT(Beginnings(view.Picture(1), 16),
              testing::ElementsAre("exp-9       h/9 ", "exp-9       h/10", "exp-10      h/9 ",
                                   "exp-10      h/10"));
}

TEST(MetricsView, LiveLinesStandAboveThoseThatHaveEndedOrAreSilent) {
  MetricsView view({.out = true, .color = true, .columns = 100, .rows = 5});
  for (const char* experiment : {"e1", "e2", "e3"}) view.Add(Of(experiment, "h/a"), kSecond);
  view.End("e1");
  EXPECT_THAT(view.Picture(kSecond), HasSubstr("\ne2  "));
  EXPECT_THAT(view.Picture(kSecond), Not(HasSubstr("e1"))) << "no room";
  view.Add(Of("e3", "h/a"), 9 * kSecond);
  const std::string picture = view.Picture(9 * kSecond);
  EXPECT_THAT(picture, HasSubstr("\ne3  "));
  EXPECT_THAT(picture, HasSubstr("\033[2me1\033[0m"));
}

TEST(MetricsView, ALineThatIsSilentForAMinuteIsTakenOutWhileOthersAreNot) {
  MetricsView view(kTerminal);
  view.Add(Of("e1", "h/a"), kSecond);
  for (uint64_t second = 1; second < 60; ++second) view.Add(Of("e2", "h/a"), second * kSecond);
  EXPECT_THAT(Beginnings(view.Picture(60 * kSecond), 2), testing::ElementsAre("e2", "e1"));
  view.Add(Of("e2", "h/a"), 61 * kSecond);
  EXPECT_THAT(Beginnings(view.Picture(61 * kSecond), 2), testing::ElementsAre("e2"));

  // After a time in which all are silent each has a minute to come back.
  view.Add(Of("e3", "h/a"), 62 * kSecond);
  view.Add(Of("e2", "h/a"), 300 * kSecond);
  EXPECT_THAT(Beginnings(view.Picture(300 * kSecond), 2), testing::ElementsAre("e2", "e3"));
}

TEST(MetricsView, ALineThatIsToBeUpdatedSeldomIsNotSilentMeanwhile) {
  MetricsView view(kTerminal, 100 * kSecond);
  view.Add(Of("e1", "h/a"), kSecond);
  view.Add(Of("e2", "h/a"), 100 * kSecond);
  view.Add(Of("e2", "h/a"), 200 * kSecond);
  EXPECT_THAT(Beginnings(view.Picture(200 * kSecond), 2), testing::ElementsAre("e1", "e2"));
  view.Add(Of("e2", "h/a"), 301 * kSecond);
  EXPECT_THAT(Beginnings(view.Picture(301 * kSecond), 2), testing::ElementsAre("e2"));
}

TEST(MetricsView, IsAsciiWhereThereAreNoBlocks) {
  MetricsView view({.out = true, .color = false, .columns = 100, .utf8 = false});
  view.Add(Update("h/a", 10), 1);
  EXPECT_THAT(view.Picture(1), HasSubstr("  @\n"));
}

TEST(MetricsView, RedrawsOverItself) {
  MetricsView view(kTerminal);
  EXPECT_EQ(view.Redraw(0), "waiting for measurements...\n");
  view.Add(Update("h/a", 10), 1);
  EXPECT_THAT(view.Redraw(1), StartsWith("\r\033[1A\033[J"));
  EXPECT_THAT(view.Redraw(2), StartsWith("\r\033[2A\033[J"));
}

TEST(MetricsView, SaysForHowLongNothingCame) {
  MetricsView view(kTerminal);
  view.Add(Update("h/a", 10), kSecond);
  EXPECT_THAT(view.Picture(3 * kSecond), Not(HasSubstr("last update")));
  EXPECT_THAT(view.Picture(80 * kSecond), HasSubstr("\nlast update 1m19s ago\n"));
  view.Add(Update("h/b", 10), 80 * kSecond);
  EXPECT_THAT(view.Picture(80 * kSecond), Not(HasSubstr("last update"))) << "one is not silent";
}

TEST(MetricsView, IsErasedForWhatIsPrintedInItsPlace) {
  MetricsView view(kTerminal);
  view.Redraw(0);
  EXPECT_EQ(view.Erase(), "\r\033[1A\033[J");
  EXPECT_EQ(view.Redraw(1), "waiting for measurements...\n");
}

TEST(MetricsView, TheSparklineStaysWithinTheTerminal) {
  MetricsView view(kTerminal);
  for (uint64_t i = 0; i < 500; ++i) view.Add(Update("h/a", 10), i);
  const std::string picture = view.Picture(500);
  const size_t blocks = static_cast<size_t>(
      std::count(picture.begin(), picture.end(), static_cast<char>(0x88)));  // ends "█"
  EXPECT_LT(blocks, 60u);
  EXPECT_GT(blocks, 20u);
}

}  // namespace
}  // namespace faultline::cli
