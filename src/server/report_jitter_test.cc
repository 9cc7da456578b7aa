// A jitter that was asked for against what the histogram of delays shows.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/histogram.h"
#include "server/report_parameters.h"
#include "server/report_summary.h"

namespace faultline::server {
namespace {

using chaos::v1::ParameterResult;
using chaos::v1::Report;
using Uniform = std::uniform_real_distribution<double>;

constexpr uint64_t kSeed = 5;

// What one target's packets waited.
template <typename Distribution>
void AddDelays(Distribution delay_ms, int packets, chaos::v1::FaultEffect* effect) {
  std::mt19937_64 random(kSeed);
  Histogram given;
  for (int i = 0; i < packets; ++i) given.Record(static_cast<uint64_t>(delay_ms(random) * 1e6));
  *effect->mutable_given() = given.ToSparse();
  effect->mutable_counters()->set_delays_measured(static_cast<uint64_t>(packets));
}

Report Asked(const std::string& shape) {
  Report report;
  auto* fault = report.mutable_experiment()->add_faults();
  fault->set_kind("NETWORK_LATENCY");
  auto& parameters = *fault->mutable_parameters();
  parameters["delay_ms"] = "100";
  parameters["jitter_ms"] = "5";
  parameters["distribution"] = shape;
  return report;
}

// The row of that target, or of all.
ParameterResult Jitter(const Report& report, const std::string& target = "") {
  for (const auto& row : report.parameters()) {
    if (row.name() == "jitter_ms" && row.target_id() == target) return row;
  }
  ADD_FAILURE() << "no row of '" << target << "'";
  return {};
}

template <typename Distribution>
ParameterResult Measured(const std::string& shape, Distribution delay_ms, int packets) {
  Report report = Asked(shape);
  AddDelays(delay_ms, packets, report.add_targets()->add_faults());
  AddParameters(&report);
  return Jitter(report);
}

TEST(ReportJitter, IsTheHalfWidthOfAUniformOneAndTheDeviationOfOthers) {
  // 1.96 deviations * sqrt(kurtosis - 1) / (2 * sqrt(n)), of 1.8 and 3, and 2 * bucket^2 /
  // deviation; a bucket at 100 ms is 1.05 ms wide, 0.303 ms its own deviation.
  const double root = 2 * std::sqrt(20'000);
  const ParameterResult even = Measured("uniform", Uniform(95, 105), 20'000);
  ASSERT_TRUE(even.measured()) << even.reason();
  EXPECT_NEAR(even.value(), 5, 0.1);
  EXPECT_NEAR(even.high() - even.low(), 2 * (1.96 * 5 * std::sqrt(0.8) / root + 0.110), 0.01);
  EXPECT_EQ(even.samples(), 20'000u);
  const ParameterResult bell = Measured("normal", std::normal_distribution<double>(100, 5), 20'000);
  ASSERT_TRUE(bell.measured()) << bell.reason();
  EXPECT_NEAR(bell.value(), 5, 0.1);
  EXPECT_NEAR(bell.high() - bell.low(), 2 * (1.96 * 5 * std::sqrt(2) / root + 0.037), 0.02);
}

// Where the values' ends lie in their buckets makes up to a tenth of so small a jitter.
TEST(ReportJitter, HasWhatWasGivenWithinItsIntervalWhereverTheBucketsLie) {
  constexpr double kJitterMs = 1.8;
  double sum_ms = 0;
  int rows = 0;
  for (double delay_ms = 98; delay_ms < 102; delay_ms += 0.05) {
    const ParameterResult row =
        Measured("uniform", Uniform(delay_ms - kJitterMs, delay_ms + kJitterMs), 20'000);
    ASSERT_TRUE(row.measured()) << delay_ms << " ms: " << row.reason();
    EXPECT_LE(row.low(), kJitterMs) << delay_ms << " ms";
    EXPECT_GE(row.high(), kJitterMs) << delay_ms << " ms";
    sum_ms += row.value();
    ++rows;
  }
  // Uncorrected it would be 1.87 ms.
  EXPECT_NEAR(sum_ms / rows, kJitterMs, 0.02);
}

TEST(ReportJitter, ThatBucketsCannotTellHasNoFigure) {
  // Within one bucket, over the edge of two (100.66 ms), and over three.
  for (const auto& within : {Uniform(100.1, 100.2), Uniform(100.61, 100.71), Uniform(99, 101)}) {
    const ParameterResult row = Measured("uniform", within, 1'000);
    EXPECT_FALSE(row.measured()) << within << ": " << row.value();
    EXPECT_EQ(row.reason(), "it is too small for a histogram with buckets of 1 ms");
  }
}

TEST(ReportJitter, OfFewPacketsOrNoneOrAParetoSaysWhyItHasNoFigure) {
  EXPECT_EQ(Measured("uniform", Uniform(95, 105), 29).reason(), "only 29 packets were delayed");
  EXPECT_TRUE(Measured("uniform", Uniform(95, 105), 30).measured());
  EXPECT_EQ(Measured("uniform", Uniform(95, 105), 0).reason(), "no packet was delayed");
  EXPECT_EQ(Measured("pareto", Uniform(95, 105), 1'000).reason(),
            "a few late packets make a pareto's deviation; see the percentiles");
}

TEST(ReportJitter, IsOfAllTargetsThoseWithoutRoomForTheirHistogramIncluded) {
  Report report = Asked("normal");
  for (const char* id : {"near", "far"}) {
    auto* target = report.add_targets();
    target->set_target_id(id);
    target->add_faults()->mutable_counters()->set_delays_measured(1'000);
  }
  AddDelays(std::normal_distribution<double>(90, 5), 1'000,
            report.mutable_targets(0)->mutable_faults(0));
  AddDelays(std::normal_distribution<double>(110, 5), 1'000,
            report.mutable_left_out()->add_faults());
  report.mutable_left_out()->mutable_faults(0)->clear_counters();
  Summarize(false, &report);
  EXPECT_NEAR(Jitter(report).value(), std::sqrt(100 + 25), 0.3);
  EXPECT_EQ(Jitter(report).samples(), 2'000u);
  EXPECT_NEAR(Jitter(report, "near").value(), 5, 0.4);
  EXPECT_EQ(Jitter(report, "far").reason(), "there was no room for the histogram of its delays");
  EXPECT_FALSE(report.targets(0).faults(0).has_given());
}

}  // namespace
}  // namespace faultline::server
