#include "server/report_summary.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/histogram.h"

namespace faultline::server {
namespace {

using chaos::v1::Report;

// Two targets, each with `requests` requests of its own time.
Report TwoTargets(uint64_t requests, uint64_t slow_ns) {
  Report report;
  for (int i = 0; i < 2; ++i) {
    auto* target = report.add_targets();
    target->set_target_id(i == 0 ? "a/fast" : "b/slow");
    Histogram histogram;
    histogram.Record(i == 0 ? 1'000'000 : slow_ns, requests);
    *target->mutable_during()->mutable_latency() = histogram.ToSparse();
  }
  return report;
}

const chaos::v1::Percentile& Of(const chaos::v1::Measurements& measured, double percent) {
  for (const auto& p : measured.percentiles()) {
    if (p.percent() == percent) return p;
  }
  ADD_FAILURE() << "no " << percent;
  return measured.percentiles(0);
}

TEST(ReportSummary, MergesHistogramsAndNotPercentiles) {
  Report report = TwoTargets(1'000, 100'000'000);
  Summarize(false, &report);
  // The mean of both p50 would be 50 ms.
  EXPECT_NEAR(Of(report.during(), 50).value_ms(), 1, 0.02);
  EXPECT_NEAR(Of(report.during(), 99).value_ms(), 100, 2);
  EXPECT_EQ(report.during().requests(), 2'000u);
  EXPECT_EQ(report.targets(0).during().latency().index_size(), 0);
}

TEST(ReportSummary, SumsUpWhatWasSeenOfConnectionsOverTargets) {
  Report report = TwoTargets(1'000, 100'000'000);
  for (auto& target : *report.mutable_targets()) {
    auto* traffic = target.mutable_during()->mutable_traffic();
    *traffic->mutable_handshake() = target.during().latency();
    traffic->set_refused_sent(3);
  }
  Summarize(false, &report);
  EXPECT_EQ(report.during().handshakes(), 2'000u);
  EXPECT_NEAR(report.during().handshake_percentiles(2).value_ms(), 100, 2);
  EXPECT_EQ(report.during().traffic().refused_sent(), 6u);
  EXPECT_FALSE(report.targets(0).during().traffic().has_handshake());
}

TEST(ReportSummary, PutsWhatHappenedToConnectionsAmongTheEvents) {
  Report report = TwoTargets(1'000, 100'000'000);
  for (const int seconds : {1, 9}) {
    auto* event = report.add_events();
    event->set_what(seconds == 1 ? "created" : "completed");
    event->mutable_time()->set_seconds(seconds);
  }
  auto* traffic = report.mutable_targets(0)->mutable_during()->mutable_traffic();
  auto* event = traffic->add_events();
  event->set_timestamp_ns(5'000'000'007);
  event->set_type(chaos::v1::TRAFFIC_EVENT_TYPE_KERNEL_DROP);
  event->set_protocol("udp");
  event->set_local_address("fd00::2");
  event->set_local_port(7001);
  event->set_peer_address("fd00::1");
  event->set_peer_port(4242);
  event->set_reason("NO_SOCKET");
  traffic->set_events_lost(3);
  Summarize(false, &report);
  ASSERT_EQ(report.events_size(), 3);
  EXPECT_EQ(report.events(1).what(), "kernel drop");
  EXPECT_EQ(report.events(1).target_id(), "a/fast");
  EXPECT_EQ(report.events(1).detail(), "udp [fd00::1]:4242 to [fd00::2]:7001: NO_SOCKET");
  EXPECT_EQ(report.events(1).time().seconds(), 5);
  EXPECT_EQ(report.events(1).time().nanos(), 7);
  EXPECT_EQ(report.targets(0).during().traffic().events_size(), 0) << "told twice";
  EXPECT_EQ(report.during().traffic().events_lost(), 3u);
}

TEST(ReportSummary, NamesOtherExperimentsAmongTheEvents) {
  Report report = TwoTargets(10, 100'000'000);
  const auto add = [&report](const char* id, bool during, bool after) {
    auto* other = report.mutable_targets(1)->add_others();
    other->set_experiment_id(id);
    other->set_unix_ns(5'000'000'007);
    other->set_during(during);
    other->set_after(after);
  };
  add("exp-7", false, true);
  add("exp-8", true, false);
  Summarize(false, &report);
  ASSERT_EQ(report.events_size(), 2);
  EXPECT_EQ(report.events(0).what(), "other experiment");
  EXPECT_EQ(report.events(0).target_id(), "b/slow");
  EXPECT_EQ(report.events(0).time().seconds(), 5);
  EXPECT_EQ(report.events(0).detail(),
            "exp-7 had a fault on the target too: what was measured then is not in \"after\"");
  EXPECT_EQ(report.events(1).detail(),
            "exp-8 had a fault on the target too: what it did is in \"during\"");
}

TEST(ReportSummary, PercentilesLieInTheirIntervalsNineteenTimesOfTwenty) {
  const uint64_t seed = 42;
  std::mt19937_64 random(seed);
  std::exponential_distribution<double> times(1);  // mean 1; median ln 2
  constexpr int kRuns = 400, kSamples = 500;
  int inside = 0;
  for (int run = 0; run < kRuns; ++run) {
    Histogram histogram;
    for (int i = 0; i < kSamples; ++i) {
      histogram.Record(static_cast<uint64_t>(times(random) * 10e6));
    }
    Report report;
    *report.add_targets()->mutable_during()->mutable_latency() = histogram.ToSparse();
    Summarize(false, &report);
    const auto& median = Of(report.during(), 50);
    const double truth = std::log(2.0) * 10;
    // A bucket is up to 1.6 % wide.
    inside += median.low_ms() <= truth * 1.01 && truth * 0.99 <= median.high_ms();
  }
  EXPECT_GE(inside, kRuns * 93 / 100) << "seed " << seed;
  EXPECT_LE(inside, kRuns * 995 / 1000) << "seed " << seed;
}

TEST(ReportSummary, APercentileHasNoBoundWhereTooLittleWasMeasuredForOne) {
  const struct {
    uint64_t requests;
    double percent;
    bool low, high;
  } cases[] = {{1, 50, false, false}, {1, 99, false, false}, {4, 50, false, true},
               {8, 50, true, true},   {10, 99, true, false}, {380, 99, true, false},
               {381, 99, true, true}};
  for (const auto& each : cases) {
    Report report = TwoTargets(each.requests, 100'000'000);
    Summarize(false, &report);
    const auto& percentile = Of(report.targets(0).during(), each.percent);
    EXPECT_NEAR(percentile.value_ms(), 1, 0.02);
    EXPECT_EQ(percentile.has_low_ms(), each.low) << each.requests << ", p" << each.percent;
    EXPECT_EQ(percentile.has_high_ms(), each.high) << each.requests << ", p" << each.percent;
  }
}

// Of an experiment with 200 targets, of which each was active, and one was refused.
Report OfManyTargets() {
  Report report;
  report.mutable_experiment()->set_status(chaos::v1::EXPERIMENT_STATUS_COMPLETED);
  for (int i = 0; i < 200; ++i) {
    auto* pair = report.mutable_experiment()->add_targets();
    pair->set_target_id(fmt::format("a/{:03}", i));
    pair->set_phase(i == 7 ? chaos::v1::TARGET_PHASE_REFUSED : chaos::v1::TARGET_PHASE_REVERTED);
    if (i == 7 || i == 190) continue;  // of which nothing was measured
    report.add_targets()->set_target_id(pair->target_id());
  }
  auto* event = report.add_events();
  event->set_what("active");
  event->set_target_id("a/000");
  return report;
}

TEST(ReportSummary, KnowsUnmeasuredTargetsAlthoughTheirEventsHadNoRoom) {
  Report report = OfManyTargets();
  auto* event = report.add_events();
  event->set_what("reverting");
  event->set_target_id("a/190");
  const auto& experiment = report.experiment();
  EXPECT_TRUE(UnmeasuredTargets(experiment, report).empty())
      << "the events are complete: it was never active";
  report.mutable_left_out()->set_events(300);
  EXPECT_EQ(UnmeasuredTargets(experiment, report), std::vector<std::string>{"a/190"});
}

TEST(ReportSummary, KnowsUnmeasuredTargetsOfWhichNobodySawThatTheyWereActive) {
  const Report report = OfManyTargets();
  EXPECT_EQ(UnmeasuredTargets(report.experiment(), report), std::vector<std::string>{"a/190"});
}

TEST(ReportSummary, ALostTargetWasActiveWhenAnEventSaysSoOrThereWasNoRoomForIt) {
  Report report = OfManyTargets();
  auto& pair = *report.mutable_experiment()->mutable_targets(190);
  pair.set_phase(chaos::v1::TARGET_PHASE_LOST);
  const auto& experiment = report.experiment();
  auto* lost = report.add_events();
  lost->set_what("lost");
  lost->set_target_id("a/190");
  EXPECT_TRUE(UnmeasuredTargets(experiment, report).empty()) << "its agent was gone before";
  Report no_room = report;
  no_room.mutable_left_out()->set_events(300);
  EXPECT_EQ(UnmeasuredTargets(experiment, no_room), std::vector<std::string>{"a/190"});
  auto* active = report.add_events();
  active->set_what("active");
  active->set_target_id("a/190");
  EXPECT_EQ(UnmeasuredTargets(experiment, report), std::vector<std::string>{"a/190"});
}

// 200 targets, of which most had no room for their histograms.
TEST(ReportSummary, CountsHistogramsThatWereLeftOutInThoseOfAllTargets) {
  Report report = OfManyTargets();
  Histogram quick, slow;
  quick.Record(1'000'000, 10);
  slow.Record(100'000'000, 990);
  *report.mutable_targets(0)->mutable_during()->mutable_latency() = quick.ToSparse();
  for (int i = 1; i < report.targets_size(); ++i) {
    auto* target = report.mutable_targets(i);
    target->set_histograms_left_out(true);
    target->set_points_left_out(i > 100);
    target->mutable_during()->set_requests(5);
    target->mutable_during()->set_handshakes(2);
  }
  auto* left_out = report.mutable_left_out()->mutable_during();
  *left_out->mutable_latency() = slow.ToSparse();
  *left_out->mutable_traffic()->mutable_handshake() = quick.ToSparse();
  Summarize(false, &report);
  EXPECT_EQ(report.during().requests(), 1'000u);
  EXPECT_EQ(report.during().handshakes(), 10u);
  EXPECT_NEAR(Of(report.during(), 50).value_ms(), 100, 2);
  EXPECT_EQ(report.targets(0).during().requests(), 10u);
  EXPECT_EQ(report.targets(1).during().requests(), 5u);
  EXPECT_EQ(report.targets(1).during().handshakes(), 2u);
  EXPECT_TRUE(report.targets(1).during().percentiles().empty());
  EXPECT_EQ(report.left_out().targets_without_percentiles(), 197u);
  EXPECT_EQ(report.left_out().targets_without_points(), 97u);
  EXPECT_EQ(report.left_out().targets_without_events(), 0u);
  EXPECT_FALSE(report.left_out().has_during()) << "nobody asked for buckets";
}

// Three targets, the last of which had no room for its histograms.
TEST(ReportSummary, TellsWhatPacketsWaitedOfEachTargetAndOverAll) {
  Report report = TwoTargets(10, 1'000'000);
  report.add_targets()->set_target_id("c/left-out");
  const auto waited = [](uint64_t ms, uint64_t packets) {
    Histogram given;
    given.Record(ms * 1'000'000, packets);
    return given.ToSparse();
  };
  for (int i = 0; i < 3; ++i) {
    auto* effect = report.mutable_targets(i)->add_faults();
    effect->set_fault_index(1);
    effect->set_given_no_room(1);
    effect->mutable_counters()->set_delays_measured(101);
    if (i < 2) *effect->mutable_given() = waited(i == 0 ? 20 : 40, 100);
  }
  auto* left_out = report.mutable_left_out()->add_faults();
  left_out->set_fault_index(1);
  *left_out->mutable_given() = waited(80, 100);
  Report with_buckets = report;
  Summarize(false, &report);
  const auto& first = report.targets(0).faults(0);
  ASSERT_EQ(first.given_percentiles_size(), 3);
  EXPECT_NEAR(first.given_percentiles(0).value_ms(), 20, 0.4);
  EXPECT_FALSE(first.has_given()) << "nobody asked for buckets";
  EXPECT_TRUE(report.targets(2).faults(0).given_percentiles().empty());
  EXPECT_EQ(report.left_out().faults_size(), 0);
  ASSERT_EQ(report.faults_size(), 1);
  const auto& all = report.faults(0);
  EXPECT_EQ(all.fault_index(), 1u);
  EXPECT_EQ(all.counters().delays_measured(), 303u);
  EXPECT_EQ(all.given_no_room(), 3u);
  ASSERT_EQ(all.given_percentiles_size(), 3);
  EXPECT_NEAR(all.given_percentiles(0).value_ms(), 40, 0.8);
  EXPECT_NEAR(all.given_percentiles(2).value_ms(), 80, 1.6);
  Summarize(true, &with_buckets);
  Histogram given;
  ASSERT_TRUE(given.Merge(with_buckets.faults(0).given()).ok());
  EXPECT_EQ(given.count(), 300u);
}

TEST(ReportSummary, SaysOfWhichTargetsNothingWasMeasured) {
  Report report;
  auto* event = report.add_events();
  event->set_what("active");
  event->set_target_id("a/gone");
  Summarize(false, &report);
  ASSERT_EQ(report.unmeasured_targets_size(), 1);
  EXPECT_EQ(report.unmeasured_targets(0), "a/gone");
}

}  // namespace
}  // namespace faultline::server
