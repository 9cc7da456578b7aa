#include "server/report_summary.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/histogram.h"
#include "server/target_course.h"

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

Report WithFault(const std::string& kind, const std::string& parameter, const std::string& asked) {
  Report report;
  auto* fault = report.mutable_experiment()->add_faults();
  fault->set_kind(kind);
  (*fault->mutable_parameters())[parameter] = asked;
  return report;
}

TEST(ReportSummary, ComparesALossWithWhatWasAsked) {
  Report report = WithFault("NETWORK_LOSS", "loss_percent", "10");
  auto* counters = report.add_targets()->add_faults()->mutable_counters();
  counters->set_matched(10'000);
  counters->set_dropped(1'020);
  Summarize(false, &report);
  ASSERT_EQ(report.parameters_size(), 1);
  const auto& result = report.parameters(0);
  EXPECT_EQ(result.name(), "loss_percent");
  EXPECT_EQ(result.asked(), "10 %");
  EXPECT_EQ(result.samples(), 10'000u);
  EXPECT_NEAR(result.value(), 10.2, 1e-9);
  // Wilson: 9.62 to 10.81.
  EXPECT_NEAR(result.low(), 9.62, 0.01);
  EXPECT_NEAR(result.high(), 10.81, 0.01);
}

TEST(ReportSummary, ComparesARateWithWhatWasAskedWhileTheLinkWasBusy) {
  Report report = WithFault("NETWORK_BANDWIDTH", "rate_bps", "1000000");
  auto* counters = report.add_targets()->add_faults()->mutable_counters();
  Report idle = report;
  counters->set_delays_measured(900);
  counters->set_link_bytes(250'000);
  counters->set_link_busy_ns(2'000'000'000);
  Summarize(false, &report);
  ASSERT_EQ(report.parameters_size(), 1);
  EXPECT_TRUE(report.parameters(0).measured());
  EXPECT_NEAR(report.parameters(0).value(), 1e6, 1e-3);
  EXPECT_NEAR(report.parameters(0).low(), 1e6 - 6'056, 1);
  EXPECT_NEAR(report.parameters(0).high(), 1e6 + 6'056, 1);
  EXPECT_EQ(report.parameters(0).samples(), 900u);
  Summarize(false, &idle);
  EXPECT_FALSE(idle.parameters(0).measured());
  EXPECT_EQ(idle.parameters(0).reason(), "no packet waited for another: the link was never busy");
}

TEST(ReportSummary, ComparesADelayWithWhatWasAsked) {
  Report report = WithFault("NETWORK_LATENCY", "delay_ms", "100");
  const uint64_t seed = 7;
  std::mt19937_64 random(seed);
  std::normal_distribution<double> delay_ms(100.5, 5);
  auto* effect = report.add_targets()->add_faults();
  uint64_t delayed = 0;
  double given_s = 0;
  for (int batch = 0; batch < 200; ++batch) {
    const uint64_t packets = 5 + random() % 20;
    double batch_s = 0;
    for (uint64_t i = 0; i < packets; ++i) batch_s += delay_ms(random) / 1e3;
    const double thousands = static_cast<double>(packets) / 1e3;
    delayed += packets;
    given_s += batch_s;
    effect->set_batches(effect->batches() + 1);
    effect->set_sum_delayed_squared(effect->sum_delayed_squared() + thousands * thousands);
    effect->set_sum_given_squared(effect->sum_given_squared() + batch_s * batch_s);
    effect->set_sum_delayed_given(effect->sum_delayed_given() + thousands * batch_s);
  }
  effect->mutable_counters()->set_matched(delayed);
  effect->mutable_counters()->set_delays_measured(delayed);
  effect->mutable_counters()->set_delay_given_ns(static_cast<uint64_t>(given_s * 1e9));
  Summarize(false, &report);
  const auto& result = report.parameters(0);
  EXPECT_TRUE(result.measured());
  EXPECT_EQ(result.unit(), "ms");
  EXPECT_NEAR(result.value(), 100.5, 0.5) << "seed " << seed;
  // 1.96 * 5 ms / sqrt(n).
  const double half = 1.96 * 5 / std::sqrt(static_cast<double>(delayed));
  EXPECT_NEAR(result.high() - result.low(), 2 * half, half * 0.4) << "seed " << seed;
}

// A packet every 300 ms, held for 100 ms, so that most are let go in another batch than they came
// in: each was held for nearly the same time, and the interval is as narrow.
TEST(ReportSummary, AMeanDelayIsAsExactWithFewPacketsThatAreHeldOverABatchesEnd) {
  Report report = WithFault("NETWORK_LATENCY", "delay_ms", "100");
  const uint64_t seed = 11;
  std::mt19937_64 random(seed);
  TargetCourse course{Baseline(std::chrono::seconds(10))};
  uint64_t given_ns = 0, measured = 0;
  for (uint64_t batch = 0; batch < 300; ++batch) {
    chaos::v1::TargetSample sample;
    auto* counters = sample.add_faults();
    counters->set_experiment_id("e1");
    const uint64_t came = batch / 3 + 1;
    if (batch % 3 == 1) {
      ++measured;
      given_ns += 100'000'000 + random() % 100'000;
    }
    counters->set_matched(came);
    counters->set_delayed(came);
    counters->set_delays_measured(measured);
    counters->set_delay_given_ns(given_ns);
    course.Add("e1", sample, 100'000'000);
  }
  *report.add_targets() = course.ToReport();
  Summarize(false, &report);
  const auto& result = report.parameters(0);
  ASSERT_TRUE(result.measured());
  EXPECT_EQ(result.samples(), 100u);
  EXPECT_NEAR(result.value(), 100.05, 0.02) << "seed " << seed;
  EXPECT_LT(result.high() - result.low(), 0.03) << "seed " << seed;
  EXPECT_GT(result.high() - result.low(), 0.003) << "seed " << seed;
}

TEST(ReportSummary, SaysWhatWasNotMeasured) {
  Report report = WithFault("NETWORK_LOSS", "loss_percent", "10");
  auto* event = report.add_events();
  event->set_what("active");
  event->set_target_id("a/gone");
  Summarize(false, &report);
  EXPECT_FALSE(report.parameters(0).measured());
  EXPECT_EQ(report.parameters(0).reason(), "no packet matched");
  ASSERT_EQ(report.unmeasured_targets_size(), 1);
  EXPECT_EQ(report.unmeasured_targets(0), "a/gone");
}

}  // namespace
}  // namespace faultline::server
