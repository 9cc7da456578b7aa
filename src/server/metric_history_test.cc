#include "server/metric_history.h"

#include <gtest/gtest.h>

namespace faultline::server {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

void AddPoint(chaos::v1::ReportPhase phase, uint64_t offset_ms, uint64_t dropped,
              chaos::v1::TargetReport* target) {
  auto* point = target->add_points();
  point->set_phase(phase);
  point->set_offset_ms(offset_ms);
  point->set_length_ms(500);
  point->set_p99_ms(static_cast<double>(offset_ms));
  point->set_requests(40);
  point->set_dropped(dropped);
}

TEST(MetricHistory, HasEachPointOfEachTargetAtItsTime) {
  chaos::v1::Experiment experiment;
  experiment.set_experiment_id("e1");
  experiment.mutable_created_at()->set_seconds(90);
  chaos::v1::Report report;
  for (const char* id : {"a/x", "b/x"}) {
    auto* target = report.add_targets();
    target->set_target_id(id);
    target->set_agent_id(std::string(id).substr(0, 1));
    AddPoint(chaos::v1::REPORT_PHASE_BEFORE, 0, 0, target);
    AddPoint(chaos::v1::REPORT_PHASE_DURING, 500, 3, target);
    AddPoint(chaos::v1::REPORT_PHASE_DURING, 1'000, 4, target);
  }
  auto* active = report.add_events();
  active->set_what("active");
  active->set_target_id("b/x");
  active->mutable_time()->set_seconds(100);
  const auto history = HistoryOf(experiment, report);
  ASSERT_EQ(history.size(), 6u);
  EXPECT_TRUE(std::is_sorted(history.begin(), history.end(), [](const auto& a, const auto& b) {
    return a.timestamp_ns() < b.timestamp_ns();
  }));
  // Of the first target nobody has seen the fault become active.
  EXPECT_EQ(history[0].target_id(), "a/x");
  EXPECT_EQ(history[0].timestamp_ns(), 90 * kSecond);
  EXPECT_EQ(history[2].target_id(), "a/x");
  EXPECT_EQ(history[2].timestamp_ns(), 91 * kSecond);
  EXPECT_EQ(history[5].target_id(), "b/x");
  EXPECT_EQ(history[5].timestamp_ns(), 101 * kSecond);
  EXPECT_EQ(history[5].experiment_id(), "e1");
  EXPECT_EQ(history[5].packet_drops(), 7);
  EXPECT_EQ(history[5].p99_latency_ms(), 1'000);
  EXPECT_EQ(history[5].requests_per_second(), 80);
  EXPECT_EQ(history[5].drops_per_second(), 8);
  EXPECT_EQ(history[5].position().agent_id(), "b");
  EXPECT_EQ(history[5].position().incarnation(), 0u);
  EXPECT_EQ(history[5].position().sequence(), 3u);
}

// The fault was on for 20 s when its target was first measured again, for 1 s.
TEST(MetricHistory, MarksWhatIsMissing) {
  chaos::v1::Experiment experiment;
  experiment.mutable_created_at()->set_seconds(100);
  chaos::v1::Report report;
  auto* target = report.add_targets();
  AddPoint(chaos::v1::REPORT_PHASE_BEFORE, 0, 0, target);
  AddPoint(chaos::v1::REPORT_PHASE_DURING, 20'500, 0, target);
  AddPoint(chaos::v1::REPORT_PHASE_DURING, 21'000, 0, target);
  const auto history = HistoryOf(experiment, report);
  ASSERT_EQ(history.size(), 3u);
  EXPECT_EQ(history[0].timestamp_ns(), 100 * kSecond);
  EXPECT_EQ(history[1].timestamp_ns(), 120 * kSecond + kSecond / 2);
  EXPECT_EQ(history[1].missed_batches(), 40u);
  EXPECT_EQ(history[1].position().sequence(), 42u);
  EXPECT_EQ(history[2].missed_batches(), 0u);
  EXPECT_EQ(history[2].position().sequence(), 43u);
}

TEST(MetricHistory, SaysWhatCouldNotBeMeasured) {
  for (const bool points_say_so : {true, false}) {
    chaos::v1::Report report;
    auto* target = report.add_targets();
    target->mutable_during()->set_not_measurable(30);
    target->mutable_during()->set_not_measurable_reason("HTTP/2");
    AddPoint(chaos::v1::REPORT_PHASE_BEFORE, 0, 0, target);
    for (uint64_t second = 1; second <= 3; ++second) {
      AddPoint(chaos::v1::REPORT_PHASE_DURING, second * 1'000, 0, target);
      target->mutable_points()->rbegin()->set_packets(50);
    }
    // Nothing was asked, and, before version 10, nothing could be paired.
    target->mutable_points(3)->set_requests(0);
    if (points_say_so) target->mutable_points(2)->set_not_measurable(1);
    const size_t not_measurable = points_say_so ? 2 : 3;
    const auto history = HistoryOf({}, report);
    ASSERT_EQ(history.size(), 4u);
    for (size_t i = 0; i < history.size(); ++i) {
      EXPECT_EQ(history[i].measurable(), i != not_measurable) << i;
      EXPECT_EQ(history[i].not_measurable_reason(), i != not_measurable ? "" : "HTTP/2") << i;
    }
  }
}

TEST(MetricHistory, TheEndIsNoMeasurement) {
  chaos::v1::Experiment experiment;
  experiment.set_experiment_id("e1");
  experiment.set_status(chaos::v1::EXPERIMENT_STATUS_FAILED);
  experiment.set_phase("refused");
  experiment.set_reason("no tc");
  experiment.mutable_ended_at()->set_seconds(100);
  const auto last = EndOf(experiment);
  chaos::v1::MetricUpdate expected;
  expected.set_experiment_id("e1");
  expected.set_timestamp_ns(100 * kSecond);
  expected.mutable_end()->set_status(chaos::v1::EXPERIMENT_STATUS_FAILED);
  expected.mutable_end()->set_phase("refused");
  expected.mutable_end()->set_reason("no tc");
  expected.mutable_end()->mutable_ended_at()->set_seconds(100);
  EXPECT_EQ(last.SerializeAsString(), expected.SerializeAsString());
}

}  // namespace
}  // namespace faultline::server
