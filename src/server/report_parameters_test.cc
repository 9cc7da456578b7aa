#include "server/report_parameters.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/histogram.h"
#include "server/target_course.h"

namespace faultline::server {
namespace {

using chaos::v1::Report;

Report WithFault(const std::string& kind, const std::string& parameter, const std::string& asked) {
  Report report;
  auto* fault = report.mutable_experiment()->add_faults();
  fault->set_kind(kind);
  (*fault->mutable_parameters())[parameter] = asked;
  return report;
}

const chaos::v1::ParameterResult* Row(const Report& report, const std::string& name) {
  for (const auto& row : report.parameters()) {
    if (row.name() == name) return &row;
  }
  return nullptr;
}

TEST(ReportParameters, ComparesALossWithWhatWasAsked) {
  Report report = WithFault("NETWORK_LOSS", "loss_percent", "10");
  auto* counters = report.add_targets()->add_faults()->mutable_counters();
  counters->set_matched(10'000);
  counters->set_dropped(1'020);
  AddParameters(&report);
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

TEST(ReportParameters, OfCorrelatedLossesSayWhyTheyHaveNoInterval) {
  for (const auto& [name, value] :
       {std::pair("correlation_percent", "25"), std::pair("model", "gilbert_elliott"),
        std::pair("correlation_percent", "0.0"), std::pair("model", "every_nth")}) {
    Report report = WithFault("NETWORK_LOSS", "loss_percent", "10");
    (*report.mutable_experiment()->mutable_faults(0)->mutable_parameters())[name] = value;
    auto* counters = report.add_targets()->add_faults()->mutable_counters();
    counters->set_matched(10'000);
    counters->set_dropped(1'020);
    AddParameters(&report);
    const auto& result = report.parameters(0);
    EXPECT_NEAR(result.value(), 10.2, 1e-9);
    const bool correlated = value == std::string("25") || value == std::string("gilbert_elliott");
    EXPECT_EQ(result.has_low(), !correlated) << value;
    EXPECT_EQ(result.has_high(), !correlated) << value;
    EXPECT_EQ(result.no_interval_reason().empty(), !correlated) << value;
  }
}

TEST(ReportParameters, AMeanDelayOfOneBatchHasNoInterval) {
  for (const uint64_t batches : {1, 2}) {
    Report report = WithFault("NETWORK_LATENCY", "delay_ms", "100");
    auto* effect = report.add_targets()->add_faults();
    effect->set_batches(batches);
    effect->mutable_counters()->set_delays_measured(10);
    effect->mutable_counters()->set_delay_given_ns(1'000'000'000);
    AddParameters(&report);
    EXPECT_NEAR(report.parameters(0).value(), 100, 1e-9);
    EXPECT_EQ(report.parameters(0).has_low(), batches == 2);
    EXPECT_EQ(report.parameters(0).has_high(), batches == 2);
    EXPECT_EQ(report.parameters(0).no_interval_reason().empty(), batches == 2);
  }
}

TEST(ReportParameters, ComparesARateWithWhatWasAskedWhileTheLinkWasBusy) {
  Report report = WithFault("NETWORK_BANDWIDTH", "rate_bps", "1000000");
  auto* counters = report.add_targets()->add_faults()->mutable_counters();
  Report idle = report;
  counters->set_delays_measured(900);
  counters->set_link_bytes(250'000);
  counters->set_link_busy_ns(2'000'000'000);
  AddParameters(&report);
  ASSERT_EQ(report.parameters_size(), 1);
  EXPECT_TRUE(report.parameters(0).measured());
  EXPECT_NEAR(report.parameters(0).value(), 1e6, 1e-3);
  EXPECT_NEAR(report.parameters(0).low(), 1e6 - 6'056, 1);
  EXPECT_NEAR(report.parameters(0).high(), 1e6 + 6'056, 1);
  EXPECT_EQ(report.parameters(0).samples(), 900u);
  AddParameters(&idle);
  EXPECT_FALSE(idle.parameters(0).measured());
  EXPECT_EQ(idle.parameters(0).reason(), "no packet waited for another: the link was never busy");
}

TEST(ReportParameters, ComparesADelayWithWhatWasAsked) {
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
  AddParameters(&report);
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
TEST(ReportParameters, AMeanDelayIsAsExactWithFewPacketsThatAreHeldOverABatchesEnd) {
  Report report = WithFault("NETWORK_LATENCY", "delay_ms", "100");
  const uint64_t seed = 11;
  std::mt19937_64 random(seed);
  TargetCourse course(Baseline(), "e1", {1, 1, 0, 100'000'000, 100'000'000});
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
    const auto end_ns = static_cast<int64_t>(batch + 1) * 100'000'000;
    course.Add("e1", sample, {1, batch + 1, end_ns - 100'000'000, end_ns, 100'000'000}, batch + 1);
  }
  *report.add_targets() = course.ToReport();
  AddParameters(&report);
  const auto& result = report.parameters(0);
  ASSERT_TRUE(result.measured());
  EXPECT_EQ(result.samples(), 100u);
  EXPECT_NEAR(result.value(), 100.05, 0.02) << "seed " << seed;
  EXPECT_LT(result.high() - result.low(), 0.03) << "seed " << seed;
  EXPECT_GT(result.high() - result.low(), 0.003) << "seed " << seed;
}

TEST(TargetCourse, WhatPacketsWaitedIsAddedUpOverBatches) {
  TargetCourse course(Baseline(), "e1", {1, 1, 0, 100'000'000, 100'000'000});
  for (uint64_t batch = 0; batch < 10; ++batch) {
    chaos::v1::TargetSample sample;
    for (const char* experiment : {"e1", "e2"}) {
      sample.add_faults()->set_experiment_id(experiment);
      auto* delays = sample.add_fault_delays();
      delays->set_experiment_id(experiment);
      Histogram given;
      given.Record(100'000'000 + batch * 10'000'000);
      *delays->mutable_given() = given.ToSparse();
      delays->set_no_room(2);
    }
    const auto end_ns = static_cast<int64_t>(batch + 1) * 100'000'000;
    course.Add("e1", sample, {1, batch + 1, end_ns - 100'000'000, end_ns, 100'000'000}, batch + 1);
  }
  const chaos::v1::TargetReport report = course.ToReport();
  ASSERT_EQ(report.faults_size(), 1);
  Histogram given;
  ASSERT_TRUE(given.Merge(report.faults(0).given()).ok());
  EXPECT_EQ(given.count(), 10u) << "of one experiment";
  EXPECT_NEAR(given.PercentileNs(100), 190e6, 190e6 / 64);
  EXPECT_EQ(report.faults(0).given_no_room(), 20u);
}

TEST(ReportParameters, OfWhichNothingCameSaySo) {
  Report report = WithFault("NETWORK_LOSS", "loss_percent", "10");
  AddParameters(&report);
  EXPECT_FALSE(report.parameters(0).measured());
  EXPECT_EQ(report.parameters(0).reason(), "no packet matched");
}

TEST(ReportParameters, ThatNothingMeasuresHaveARowThatSaysWhy) {
  Report report = WithFault("NETWORK_LATENCY", "delay_ms", "100");
  auto& given = *report.mutable_experiment()->mutable_faults(0)->mutable_parameters();
  given["correlation_percent"] = "25";
  given["peer_port"] = "80,443";
  given["distribution"] = "uniform";  // as when nobody asks
  AddParameters(&report);
  ASSERT_EQ(report.parameters_size(), 3);
  ASSERT_NE(Row(report, "correlation_percent"), nullptr);
  EXPECT_EQ(Row(report, "correlation_percent")->asked(), "25 %");
  EXPECT_FALSE(Row(report, "correlation_percent")->measured());
  EXPECT_EQ(Row(report, "correlation_percent")->reason(), "delays are counted without their order");
  ASSERT_NE(Row(report, "peer_port"), nullptr);
  EXPECT_EQ(Row(report, "peer_port")->reason(), "says which packets match");
  EXPECT_EQ(Row(report, "distribution"), nullptr);
}

TEST(ReportParameters, OfAKindThatOnlyANewerProgramKnowsAreToldAllTheSame) {
  Report report = WithFault("NETWORK_MIRACLE", "wonder_percent", "10");
  AddParameters(&report);
  ASSERT_EQ(report.parameters_size(), 1);
  EXPECT_EQ(report.parameters(0).reason(), "this program does not know the kind");
}

TEST(ReportParameters, TellHowManyPacketsWereHitWhereNoParameterSaysHowMany) {
  using Counters = chaos::v1::FaultCounters;
  const struct {
    const char* kind;
    const char* effect;
    void (Counters::*count)(uint64_t);
  } kinds[] = {
      {"NETWORK_BLACKHOLE", "packets lost", &Counters::set_dropped},
      {"NETWORK_PARTITION", "packets lost", &Counters::set_dropped},
      {"TCP_RESET", "segments reset", &Counters::set_resets},
      {"CONNECT_FAIL", "connects failed", &Counters::set_connects_failed},
      {"DNS_FAULT", "queries failed", &Counters::set_queries_failed},
      {"HTTP_FAULT", "requests failed", &Counters::set_requests_failed},
  };
  for (const auto& kind : kinds) {
    Report report = WithFault(kind.kind, "direction", "egress");
    for (const char* target : {"a/x", "b/y"}) {
      auto* of_target = report.add_targets();
      of_target->set_target_id(target);
      auto* counters = of_target->add_faults()->mutable_counters();
      counters->set_matched(50);
      (counters->*kind.count)(49);
    }
    AddParameters(&report);
    ASSERT_EQ(report.parameters_size(), 3) << kind.kind;  // of all, and of each
    const auto& all = report.parameters(0);
    EXPECT_EQ(all.name(), kind.effect);
    EXPECT_EQ(all.target_id(), "");
    EXPECT_NE(all.asked(), "");
    EXPECT_TRUE(all.measured());
    EXPECT_NEAR(all.value(), 98, 1e-9);
    // Wilson: 93.0 to 99.4.
    EXPECT_NEAR(all.low(), 93.0, 0.1);
    EXPECT_NEAR(all.high(), 99.4, 0.1);
    EXPECT_EQ(all.samples(), 100u);
    EXPECT_EQ(all.hits(), 98u);
    EXPECT_EQ(report.parameters(2).target_id(), "b/y");
    EXPECT_EQ(report.parameters(2).hits(), 49u);
  }
}

TEST(ReportParameters, HowLongAPacketIsHeldIsMeasuredOfReorderedAndOfAnsweredOnes) {
  for (const auto& [kind, name] :
       {std::pair("NETWORK_REORDER", "hold_ms"), std::pair("HTTP_FAULT", "delay_ms")}) {
    Report report = WithFault(kind, name, "10");
    auto* effect = report.add_targets()->add_faults();
    effect->mutable_counters()->set_matched(400);
    effect->mutable_counters()->set_delays_measured(100);
    effect->mutable_counters()->set_delay_given_ns(1'020'000'000);
    AddParameters(&report);
    ASSERT_NE(Row(report, name), nullptr) << kind;
    EXPECT_TRUE(Row(report, name)->measured());
    EXPECT_NEAR(Row(report, name)->value(), 10.2, 1e-9);
    EXPECT_EQ(Row(report, name)->samples(), 100u);
  }
  Report none = WithFault("HTTP_FAULT", "delay_ms", "0");
  AddParameters(&none);
  EXPECT_EQ(Row(none, "delay_ms"), nullptr) << "nobody asked for a delay";
}

}  // namespace
}  // namespace faultline::server
