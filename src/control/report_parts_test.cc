#include "control/report_parts.h"

#include <gtest/gtest.h>

#include "base/histogram.h"
#include "control/apply.h"
#include "control/report_fit.h"
#include "control/test_support.h"
#include "control/version.h"

namespace faultline::control {
namespace {

chaos::v1::Measurements Measured(uint64_t value_ns, uint64_t count) {
  chaos::v1::Measurements measured;
  Histogram histogram;
  histogram.Record(value_ns, count);
  *measured.mutable_latency() = histogram.ToSparse();
  measured.set_duration_ns(1'000'000'000);
  measured.set_packets(2 * count);
  return measured;
}

v1::RecordReport Part(const std::string& target, uint64_t node, uint64_t value_ns,
                      uint64_t matched) {
  v1::RecordReport part;
  part.set_experiment_id("e1");
  auto* report = part.add_targets();
  report->set_target_id(target);
  report->add_node_ids(node);
  *report->mutable_during() = Measured(value_ns, 100);
  report->add_faults()->mutable_counters()->set_matched(matched);
  auto* event = part.add_events();
  event->set_what("active");
  event->set_target_id(target);
  event->mutable_time()->set_seconds(7);
  return part;
}

TEST(ReportParts, OfSeveralNodesAreMergedExactly) {
  chaos::v1::Report report;
  AddToReport(Part("b/x", 1, 5'000'000, 10), kNewestVersion, &report);
  AddToReport(Part("a/x", 1, 5'000'000, 10), kNewestVersion, &report);
  AddToReport(Part("b/x", 2, 50'000'000, 30), kNewestVersion,
              &report);  // the agent had moved to node 2
  ASSERT_EQ(report.targets_size(), 2);
  EXPECT_EQ(report.targets(0).target_id(), "a/x");
  const auto& moved = report.targets(1);
  EXPECT_EQ(moved.during().duration_ns(), 2'000'000'000u);
  EXPECT_EQ(moved.faults(0).counters().matched(), 30u);
  Histogram both;
  ASSERT_TRUE(both.Merge(moved.during().latency()).ok());
  EXPECT_EQ(both.count(), 200u);
  EXPECT_NEAR(both.PercentileNs(99), 50e6, 50e6 * 0.02);
  EXPECT_NEAR(both.PercentileNs(50), 5e6, 5e6 * 0.02);
  EXPECT_EQ(report.events_size(), 2);
}

TEST(ReportParts, ThatComeTwiceCountOnce) {
  chaos::v1::Report report;
  AddToReport(Part("a/x", 1, 5'000'000, 10), kNewestVersion, &report);
  const std::string once = report.SerializeAsString();
  AddToReport(Part("a/x", 1, 5'000'000, 10), kNewestVersion, &report);
  EXPECT_EQ(report.SerializeAsString(), once);
}

TEST(ReportParts, AreBoundedInSize) {
  chaos::v1::Report report;
  for (int i = 0; i < 1'000; ++i) {
    auto part = Part(fmt::format("a/{}", i), 1, 5'000'000, 10);
    Histogram wide;
    for (unsigned bucket = 0; bucket < FL_HIST_BUCKETS; bucket += 4) wide.AddToBucket(bucket, 1);
    *part.mutable_targets(0)->mutable_during()->mutable_latency() = wide.ToSparse();
    AddToReport(part, kNewestVersion, &report);
  }
  EXPECT_EQ(report.targets_size(), 1'000);
  EXPECT_EQ(report.events_size(), kMaxReportEvents);
  EXPECT_LT(report.ByteSizeLong(), 2 * kMaxReportBytes);
}

TEST(Report, IsKeptOfAnEndedExperimentOnly) {
  testing::Driver driver;
  driver.Register("a", 1, {"x"});
  const std::string id = driver.Create("service:x");
  v1::Command command;
  *command.mutable_record_report() = Part("a/x", 1, 5'000'000, 10);
  command.mutable_record_report()->set_experiment_id(id);
  driver.Apply(command);
  EXPECT_FALSE(driver.state.Find(id)->has_report());
  driver.Stop({id});
  driver.Report("a", 1, id, "a/x", chaos::v1::TARGET_PHASE_REVERTED);
  driver.Apply(command);
  EXPECT_EQ(driver.state.Find(id)->report().targets_size(), 1);
  EXPECT_EQ(driver.state.reported.size(), 1u);
  EXPECT_EQ(VersionOf(command), 3u);
  auto* target = command.mutable_record_report()->mutable_targets(0);
  target->mutable_during()->mutable_traffic()->set_retransmits(1);
  EXPECT_EQ(VersionOf(command), 5u) << "an earlier program would not merge it";
  target->mutable_during()->mutable_traffic()->set_events_lost(1);
  EXPECT_EQ(VersionOf(command), 6u);
  target->set_baseline_ms(10'000);
  EXPECT_EQ(VersionOf(command), 8u);
  target->clear_baseline_ms();
  command.mutable_record_report()->mutable_left_out()->set_events(1);
  EXPECT_EQ(VersionOf(command), 8u);
  for (const uint32_t version : {6u, 5u, 3u}) {
    FitVersion(version, command.mutable_record_report());
    EXPECT_EQ(VersionOf(command), version);
  }
  command.mutable_record_report()->set_experiment_id("unknown");
  driver.Apply(command);
}

}  // namespace
}  // namespace faultline::control
