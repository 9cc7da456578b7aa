#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cstdlib>
#include <ctime>

#include "cli/report_html.h"
#include "cli/report_sections.h"

namespace faultline::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

chaos::v1::Report Example() {
  chaos::v1::Report report;
  auto* experiment = report.mutable_experiment();
  experiment->set_experiment_id("exp-1");
  experiment->set_status(chaos::v1::EXPERIMENT_STATUS_COMPLETED);
  experiment->add_faults()->set_kind("NETWORK_LATENCY");
  auto* lost = experiment->add_targets();
  lost->set_target_id("b/<y>|z");
  lost->set_phase(chaos::v1::TARGET_PHASE_LOST);
  lost->set_reason("the agent is gone");
  auto* result = report.add_parameters();
  result->set_name("delay_ms");
  result->set_asked("100 ms");
  result->set_unit("ms");
  result->set_measured(true);
  result->set_value(100.04);
  result->set_low(99.96);
  result->set_high(100.13);
  result->set_samples(5'000);
  auto* target = report.add_targets();
  target->set_target_id("a/x");
  target->set_missing_batches(3);
  target->set_batches(97);
  auto* during = target->mutable_during();
  during->set_duration_ns(10'000'000'000);
  during->set_requests(500);
  auto* p99 = during->add_percentiles();
  p99->set_percent(99);
  p99->set_value_ms(101);
  p99->set_low_ms(100.5);
  p99->set_high_ms(102);
  for (int i = 0; i < 20; ++i) {
    auto* point = target->add_points();
    point->set_phase(i < 10 ? chaos::v1::REPORT_PHASE_BEFORE : chaos::v1::REPORT_PHASE_DURING);
    point->set_offset_ms(static_cast<uint64_t>(i) * 1'000);
    point->set_length_ms(1'000);
    if (i == 5) continue;  // nothing was measured
    point->set_requests(50);
    point->set_p50_ms(i < 10 ? 0.2 : 100);
    point->set_p99_ms(i < 10 ? 0.4 : 101);
    point->set_dropped(i == 15 ? 7 : 0);
  }
  report.add_unmeasured_targets("b/<y>|z");
  return report;
}

TEST(ReportText, ShowsValuesWithTheirIntervals) {
  EXPECT_EQ(WithInterval(100.04, 99.96, 100.13, "ms"), "100.0 ms (99.96 to 100.1)");
  EXPECT_EQ(WithInterval(0.4821, 0.48, 0.4909, "ms"), "0.4821 ms (0.4800 to 0.4909)");
  EXPECT_EQ(WithInterval(0, 0, 0.38, "%"), "0 % (0 to 0.3800)");
  EXPECT_EQ(WithInterval(12, 10, std::nullopt, "ms"), "12.00 ms (at least 10.00)");
  EXPECT_EQ(WithInterval(12, std::nullopt, 13, "ms"), "12.00 ms (at most 13.00)");
  EXPECT_EQ(WithInterval(12, std::nullopt, std::nullopt, "ms"), "12.00 ms");
}

TEST(ReportText, IsMarkdownThatCellsCannotBreak) {
  const std::string text = ToMarkdown(Example());
  EXPECT_THAT(text, HasSubstr("# Report of exp-1\n"));
  EXPECT_THAT(text, HasSubstr("| NETWORK\\_LATENCY | delay\\_ms | all | 100 ms | 100.0 ms ("));
  EXPECT_THAT(
      text, HasSubstr("| a/x | during | 10s | 500 | 50.00 | - | 101.0 ms (100.5 to 102.0) | 0 |"));
  EXPECT_THAT(text, HasSubstr("| b/\\<y\\>\\|z | NETWORK\\_LATENCY | lost | the agent is gone |"));
  EXPECT_THAT(text, HasSubstr("- **note**: no measurement came from b/\\<y\\>\\|z\n"));
  EXPECT_THAT(text,
              HasSubstr("- **note**: a/x: 3 of 100 measurements are missing: they never came, "
                        "or the node that had them is gone\n"));
}

TEST(ReportText, WhatPeopleWroteIsTextInMarkdown) {
  auto report = Example();
  report.mutable_experiment()->set_reason("# *no* [link](x) `code` \\ <b>&lt;\n- ~~it~~");
  report.add_events()->set_detail("1 | 2 _3_");
  const std::string text = ToMarkdown(report);
  EXPECT_THAT(text, HasSubstr("- reason: \\# \\*no\\* \\[link\\](x) \\`code\\` \\\\ "
                              "\\<b\\>\\&lt; - \\~\\~it\\~\\~\n"));
  EXPECT_THAT(text, HasSubstr("| 1 \\| 2 \\_3\\_ |\n"));
}

TEST(ReportText, TimesInAFileHaveDateAndZone) {
  ::setenv("TZ", "UTC-2", 1);  // two hours east
  ::tzset();
  auto report = Example();
  constexpr int64_t kNoon = 1'714'564'800;  // 2024-05-01 12:00:00 UTC
  report.mutable_experiment()->mutable_created_at()->set_seconds(kNoon);
  report.mutable_experiment()->set_created_by("ann");
  report.mutable_experiment()->mutable_ended_at()->set_seconds(kNoon + 60);
  auto* event = report.add_events();
  event->set_what("active");
  event->mutable_time()->set_seconds(kNoon + 5);
  for (const auto& text : {ToMarkdown(report), ToHtml(report)}) {
    EXPECT_THAT(text, HasSubstr("2024-05-01T14:00:00+02:00 by ann"));
    EXPECT_THAT(text, HasSubstr("2024-05-01T14:01:00+02:00"));
    EXPECT_THAT(text, HasSubstr("2024-05-01T14:00:05+02:00"));
  }
  const auto at_noon = SectionsOf(report, kNoon * 1'000'000'000);
  EXPECT_THAT(at_noon.facts, testing::Contains(testing::Pair("created", "14:00:00 by ann")));
}

TEST(ReportText, TellsOfConnectionsWhereThereWereAny) {
  auto report = Example();
  EXPECT_THAT(ToMarkdown(report), Not(HasSubstr("## Connections")));
  auto* during = report.mutable_targets(0)->mutable_during();
  *during->add_handshake_percentiles() = during->percentiles(0);
  during->set_handshakes(12);
  during->mutable_traffic()->set_refused_received(3);
  EXPECT_THAT(ToMarkdown(report), HasSubstr("| a/x | during | 12 | - | 101.0 ms (100.5 to "
                                            "102.0) | - | 3 refused by peer |\n"));
}

TEST(ReportText, SaysHowManyEventsItDoesNotList) {
  auto report = Example();
  report.add_events()->set_what("completed");
  EXPECT_THAT(ToMarkdown(report), Not(HasSubstr("no room to list")));
  report.mutable_before()->mutable_traffic()->set_events_lost(1);
  report.mutable_during()->mutable_traffic()->set_events_lost(4'990);
  EXPECT_THAT(ToMarkdown(report), HasSubstr(" 4991 more events of connections were counted"));
}

TEST(ReportText, SaysWhatOfTheTimeUnderTheFaultIsMissing) {
  auto report = Example();
  const auto add = [&report](const char* what, int64_t seconds) {
    auto* event = report.add_events();
    event->set_what(what);
    event->set_target_id("a/x");
    event->mutable_time()->set_seconds(seconds);
  };
  add("active", 100);
  add("reverted", 112);
  EXPECT_THAT(ToMarkdown(report), Not(HasSubstr("under the fault")));
  report.mutable_targets(0)->mutable_during()->set_duration_ns(6'000'000'000);
  EXPECT_THAT(ToMarkdown(report), HasSubstr("a/x: 6s of 12s under the fault were measured"));
}

TEST(ReportText, SaysHowLongWasMeasuredBeforeTheFault) {
  auto report = Example();
  EXPECT_THAT(ToMarkdown(report), HasSubstr("nothing was measured before the fault of a/x: "));
  auto* target = report.mutable_targets(0);
  target->set_baseline_ms(10'000);
  target->mutable_before()->set_duration_ns(3'000'000'000);
  EXPECT_THAT(ToMarkdown(report),
              HasSubstr("only 3s of the 10s before the fault that the controllers keep (their "
                        "--baseline) were measured of a/x\n"));
  target->mutable_before()->set_duration_ns(9'900'000'000);
  EXPECT_THAT(ToMarkdown(report), Not(HasSubstr("before the fault")));
}

TEST(ReportText, SaysHowOldTheTimeBeforeTheFaultIs) {
  auto report = Example();
  auto* target = report.mutable_targets(0);
  target->mutable_before()->set_duration_ns(10'000'000'000);
  target->set_before_age_ms(4'000);
  EXPECT_THAT(ToMarkdown(report), Not(HasSubstr("older than the fault")));
  target->set_before_age_ms(3'540'000);
  EXPECT_THAT(ToMarkdown(report),
              HasSubstr("\"before\" of a/x is up to 59m00s older than the fault: other faults were "
                        "on since then, or nothing was measured\n"));
}

TEST(ReportText, NamesAFewOfManyTargets) {
  auto report = Example();
  for (int i = 0; i < 199; ++i) report.add_targets()->set_target_id(fmt::format("c/{}", i));
  EXPECT_THAT(ToMarkdown(report),
              HasSubstr("before the fault of a/x, c/0, c/1, c/2, c/3 and 195 more: "));
}

TEST(ReportText, SaysWhatItHadNoRoomFor) {
  auto report = Example();
  for (const auto& text : {ToMarkdown(report), ToHtml(report)}) {
    EXPECT_THAT(text, Not(HasSubstr("no room")));
  }
  auto* left_out = report.mutable_left_out();
  left_out->set_targets_without_percentiles(1);
  left_out->set_targets_without_points(1);
  left_out->set_targets_without_events(1);
  left_out->set_events(42);
  for (const auto& text : {ToMarkdown(report), ToHtml(report)}) {
    EXPECT_THAT(text, HasSubstr("1 of 1 targets: there was no room for their percentiles"));
    EXPECT_THAT(text, HasSubstr("1 of 1 targets: there was no room for their course"));
    EXPECT_THAT(text, HasSubstr("1 of 1 targets: there was no room for their events"));
    EXPECT_THAT(text, HasSubstr("42 more events of the experiment, or more, happened"));
  }
}

// The event of its beginning is among those that there was no room for, and so is that of its end.
TEST(ReportText, KnowsTheTimeUnderTheFaultAlthoughEventsAreMissing) {
  auto report = Example();
  auto* event = report.add_events();
  event->set_what("active");
  event->set_target_id("b/other");
  event->mutable_time()->set_seconds(100);
  auto* pair = report.mutable_experiment()->add_targets();
  pair->set_target_id("a/x");
  pair->set_phase(chaos::v1::TARGET_PHASE_REVERTED);
  pair->mutable_phase_since()->set_seconds(160);
  EXPECT_THAT(ToMarkdown(report), Not(HasSubstr("under the fault were measured")));
  report.mutable_left_out()->set_events(1);
  EXPECT_THAT(ToMarkdown(report), HasSubstr("a/x: 10s of 1m00s under the fault were measured"));
}

TEST(ReportText, SaysWhatIsNotMeasuredAndOfHowManyPackets) {
  auto report = Example();
  auto* share = report.add_parameters();
  share->set_name("packets lost");
  share->set_asked("all matched");
  share->set_unit("%");
  share->set_measured(true);
  share->set_value(98);
  share->set_low(93);
  share->set_high(99.4);
  share->set_samples(100);
  share->set_hits(98);
  auto* none = report.add_parameters();
  none->set_name("jitter_ms");
  none->set_asked("5 ms");
  none->set_reason("only the mean delay is counted");
  const std::string text = ToMarkdown(report);
  EXPECT_THAT(text, HasSubstr("| packets lost | all | all matched | 98.00 % (93.00 to 99.40) | 98 "
                              "of 100 |\n"));
  EXPECT_THAT(text, HasSubstr("| jitter\\_ms | all | 5 ms | not measured: only the mean delay is "
                              "counted | - |\n"));
}

TEST(ReportText, CountsOfPacketsHaveAColumnWhenTheySaySomething) {
  auto report = Example();
  auto* counters = report.mutable_targets(0)->add_faults()->mutable_counters();
  counters->set_matched(40);
  counters->set_corrupted(4);
  const std::string text = ToMarkdown(report);
  EXPECT_THAT(text, HasSubstr("| TARGET | FAULT | MATCHED | DELAYED | DROPPED | CORRUPTED | LEASE "
                              "OVER | LANE FULL |\n"));
  EXPECT_THAT(text, HasSubstr("| a/x | NETWORK\\_LATENCY | 40 | 0 | 0 | 4 | 0 | 0 |\n"));
}

TEST(ReportText, ShowsWhatPacketsWaitedBesideWhatWasAsked) {
  auto report = Example();
  EXPECT_THAT(ToMarkdown(report), Not(HasSubstr("## Delays")));
  auto* effect = report.mutable_targets(0)->add_faults();
  effect->mutable_counters()->set_delays_measured(4);
  effect->mutable_counters()->set_delay_asked_ns(400'000'000);
  *effect->add_given_percentiles() = report.targets(0).during().percentiles(0);
  *report.add_faults() = *effect;
  const std::string row =
      "NETWORK\\_LATENCY | 4 | 100.0 ms | - | - | 101.0 ms (100.5 to 102.0) |\n";
  EXPECT_THAT(ToMarkdown(report), HasSubstr("| a/x | " + row));
  EXPECT_THAT(ToMarkdown(report), Not(HasSubstr("| all | " + row)));
  EXPECT_THAT(ToHtml(report), HasSubstr("<h2>Delays</h2>"));
  report.add_targets()->set_target_id("b/y");
  EXPECT_THAT(ToMarkdown(report), HasSubstr("| all | " + row));
  EXPECT_THAT(ToMarkdown(report), Not(HasSubstr("in no percentile")));
  report.mutable_faults(0)->set_given_no_room(3);
  EXPECT_THAT(ToMarkdown(report), HasSubstr("fault 0: 3 of 4 delayed packets are in no "));
}

TEST(ReportText, IsOnePageOfHtmlThatNeedsNothingElse) {
  const std::string html = ToHtml(Example());
  EXPECT_TRUE(html.starts_with("<!doctype html>"));
  EXPECT_THAT(html, HasSubstr("<svg "));
  EXPECT_THAT(html, HasSubstr("b/&lt;y&gt;|z"));
  EXPECT_THAT(html, Not(HasSubstr("b/<y>")));
  EXPECT_THAT(html, Not(HasSubstr("http")));
  EXPECT_THAT(html, Not(HasSubstr("<script")));
}

TEST(ReportText, KeepsOnlyNumbersTogetherInATableSoThatItNeedNotScroll) {
  chaos::v1::Report report = Example();
  auto* during = report.mutable_targets(0)->mutable_during();
  during->set_not_measurable(3);
  during->set_not_measurable_reason("HTTP/2 answers out of turn");
  const std::string html = ToHtml(report);
  EXPECT_THAT(html, HasSubstr("<td><span>101.0 ms</span> <span>(100.5 to 102.0)</span></td>"));
  EXPECT_THAT(html, HasSubstr("<td><span>3</span> (HTTP/2 answers out of turn)</td>"));
  EXPECT_THAT(html, HasSubstr("<td>a/x</td>"));
  const size_t style = html.find("</style>");
  const std::string rules = html.substr(0, style);
  EXPECT_EQ(rules.find("nowrap"), rules.find("td span { white-space: nowrap") + 23);
  EXPECT_EQ(rules.find("nowrap"), rules.rfind("nowrap"));
}

}  // namespace
}  // namespace faultline::cli
