#include "agent/total_families.h"

#include <gmock/gmock.h>

#include "base/log_linear.h"

namespace faultline::agent {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string TextOf(const SampleTotals& totals) {
  http::Families families;
  AddTotals(totals, families);
  return http::ToText(families.Take());
}

// Series whose name begins so.
size_t Series(const std::string& text, const std::string& name) {
  size_t series = 0;
  for (size_t at = text.find("\n" + name); at != std::string::npos;
       at = text.find("\n" + name, at + 1)) {
    ++series;
  }
  return series;
}

// Of a target with traffic, a fault and no times.
chaos::v1::TargetSample Sample(const std::string& target) {
  chaos::v1::TargetSample sample;
  sample.set_target_id(target);
  sample.set_packets(10);
  sample.add_faults()->set_experiment_id("e1");
  return sample;
}

chaos::v1::SparseHistogram Twice3Ms() {
  chaos::v1::SparseHistogram histogram;
  histogram.add_index(fl_hist_bucket(3'000'000));
  histogram.add_count(2);
  return histogram;
}

TEST(TotalFamilies, HaveNoLineOfAHistogramInWhichNothingWasCounted) {
  SampleTotals totals;
  totals.Add({Sample("a")}, 1);
  const std::string text = TextOf(totals);
  EXPECT_THAT(text, Not(HasSubstr("histogram")));
  EXPECT_THAT(text, Not(HasSubstr("duration_seconds")));
  EXPECT_THAT(text, Not(HasSubstr("smoothed_rtt")));
  EXPECT_THAT(text, HasSubstr("\nfaultline_target_packets_total{target=\"a\"} 10\n"));
  EXPECT_THAT(text, HasSubstr("\nfaultline_target_not_measurable_total{target=\"a\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("\nfaultline_fault_packets_dropped_total{experiment=\"e1\","
                              "fault=\"0\",target=\"a\"} 0\n"));
}

TEST(TotalFamilies, HaveEveryLineOfAHistogramOnceSomethingWasCounted) {
  SampleTotals totals;
  chaos::v1::TargetSample filled = Sample("a");
  *filled.mutable_latency() = Twice3Ms();
  auto* delays = filled.add_fault_delays();
  delays->set_experiment_id("e1");
  *delays->mutable_given() = Twice3Ms();
  totals.Add({filled, Sample("b")}, 1);
  totals.Add({Sample("a"), Sample("b")}, 2);  // it stays when nothing more is
  const std::string text = TextOf(totals);
  for (const std::string name :
       {"faultline_target_request_duration_seconds", "faultline_fault_delay_duration_seconds"}) {
    EXPECT_EQ(Series(text, name + "_bucket{"), SampleTotals::kBounds + 1) << name;
    EXPECT_EQ(Series(text, name + "_sum{"), 1u) << name;
    EXPECT_EQ(Series(text, name + "_count{"), 1u) << name;
  }
  EXPECT_THAT(text, HasSubstr("duration_seconds_bucket{target=\"a\",le=\"0.00282\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("duration_seconds_bucket{target=\"a\",le=\"0.00355\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("duration_seconds_bucket{target=\"a\",le=\"+Inf\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("duration_seconds_count{target=\"a\"} 2\n"));
}

}  // namespace
}  // namespace faultline::agent
