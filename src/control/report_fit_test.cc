#include "control/report_fit.h"

#include <gtest/gtest.h>

#include "base/histogram.h"
#include "control/report_armings.h"
#include "control/report_parts.h"
#include "control/version.h"

namespace faultline::control {
namespace {

namespace v1 = ::control::v1;

constexpr uint64_t kTargets = 200;

chaos::v1::SparseHistogram Wide(uint64_t first_bucket, unsigned buckets) {
  Histogram histogram;
  for (unsigned i = 0; i < buckets; ++i) {
    histogram.AddToBucket(static_cast<unsigned>(first_bucket) + i * 3, 7);
  }
  return histogram.ToSparse();
}

// Node `node`'s part about so many targets, each with histograms of its own, a course and events.
v1::RecordReport PartOf(uint64_t node, uint64_t targets, unsigned buckets, int points,
                        int events = 0) {
  v1::RecordReport part;
  for (uint64_t i = 0; i < targets; ++i) {
    auto* target = part.add_targets();
    target->set_target_id(fmt::format("n{}/{:04}", node, i));
    target->add_node_ids(node);
    auto* during = target->mutable_during();
    during->set_duration_ns(1'000'000'000);
    during->set_packets(14 * buckets);
    *during->mutable_latency() = Wide(i % 100, buckets);
    *during->mutable_traffic()->mutable_handshake() = Wide(i % 50, buckets);
    during->mutable_traffic()->set_retransmits(3);
    *target->mutable_before()->mutable_latency() = Wide(i % 10, buckets);
    for (int point = 0; point < points; ++point) {
      auto* out = target->add_points();
      out->set_offset_ms(static_cast<uint64_t>(point) * 1'000);
      out->set_length_ms(1'000);
      out->set_p50_ms(1.5);
      out->set_p99_ms(2.5);
      out->set_requests(1'000'000);
    }
    for (int event = 0; event < events; ++event) {
      during->mutable_traffic()->add_events()->set_peer_address(std::string(100, 'x'));
    }
  }
  return part;
}

// The same, each target with a fault whose packets waited: one histogram for each of so many
// faults.
v1::RecordReport WithDelays(v1::RecordReport part, uint32_t faults, unsigned buckets) {
  for (auto& target : *part.mutable_targets()) {
    for (uint32_t fault = 0; fault < faults; ++fault) {
      auto* effect = target.add_faults();
      effect->set_fault_index(fault);
      effect->mutable_counters()->set_delays_measured(7 * buckets);
      *effect->mutable_given() = Wide(fault, buckets);
    }
  }
  return part;
}

// The same, each target with a fault that was armed so often, and did 100 times as much whenever it
// was.
v1::RecordReport WithArmings(v1::RecordReport part, int armings) {
  for (auto& target : *part.mutable_targets()) {
    auto* effect = target.add_faults();
    effect->set_by_arming(true);
    effect->mutable_counters()->set_matched(100 * static_cast<uint64_t>(armings));
    for (int i = 0; i < armings; ++i) {
      auto* arming = effect->add_armings();
      arming->set_incarnation(1'700'000'000'000'000'000);
      arming->set_first(10 * static_cast<uint64_t>(i) + 1);
      arming->set_last(arming->first() + 5);
      arming->set_began(true);
      arming->mutable_counters()->set_matched(100);
      arming->mutable_counters()->set_delays_measured(1'000'000);
      arming->mutable_counters()->set_delay_given_ns(1'000'000'000'000);
      arming->mutable_counters()->set_delay_asked_ns(1'000'000'000'000);
    }
  }
  return part;
}

Histogram Of(const chaos::v1::SparseHistogram& sparse) {
  Histogram histogram;
  EXPECT_TRUE(histogram.Merge(sparse).ok());
  return histogram;
}

// Of the latencies during the fault: those of targets, and what is left out.
template <typename Part>
Histogram TotalOf(const Part& part) {
  Histogram total;
  for (const auto& target : part.targets()) total.Merge(Of(target.during().latency()));
  if (part.left_out().during().has_latency()) {
    total.Merge(Of(part.left_out().during().latency()));
  }
  return total;
}

// Of one fault, what its packets waited.
template <typename Part>
Histogram DelaysOf(const Part& part, uint32_t fault) {
  Histogram total;
  const auto add = [&](const auto& effects) {
    for (const auto& effect : effects) {
      if (effect.fault_index() == fault) total.Merge(Of(effect.given()));
    }
  };
  for (const auto& target : part.targets()) add(target.faults());
  add(part.left_out().faults());
  return total;
}

void ExpectSame(const Histogram& a, const Histogram& b) {
  for (unsigned bucket = 0; bucket < FL_HIST_BUCKETS; ++bucket) {
    ASSERT_EQ(a.bucket(bucket), b.bucket(bucket)) << bucket;
  }
}

TEST(ReportFit, LeavesWhatFitsAsItIs) {
  chaos::v1::Report report;
  AddToReport(PartOf(1, 10, 50, 120, 4), kNewestVersion, &report);
  EXPECT_FALSE(report.has_left_out());
  for (const auto& target : report.targets()) {
    EXPECT_EQ(target.points_size(), 120);
    EXPECT_EQ(target.during().traffic().events_size(), 4);
  }
}

TEST(ReportFit, GivesUpCoursesBeforeHistogramsAndThoseOfTheLastTargetsFirst) {
  chaos::v1::Report report;
  AddToReport(PartOf(1, kTargets, 40, 60), kNewestVersion, &report);
  EXPECT_LE(report.ByteSizeLong(), kMaxReportBytes);
  ASSERT_EQ(report.targets_size(), static_cast<int>(kTargets));
  EXPECT_TRUE(report.has_left_out());
  EXPECT_EQ(report.targets(0).points_size(), 60);
  EXPECT_FALSE(report.targets(0).points_left_out());
  EXPECT_EQ(report.targets(kTargets - 1).points_size(), 0);
  EXPECT_TRUE(report.targets(kTargets - 1).points_left_out());
  for (const auto& target : report.targets()) {
    EXPECT_TRUE(target.during().has_latency()) << target.target_id();
    EXPECT_FALSE(target.histograms_left_out());
  }
}

TEST(ReportFit, GivesUpEarlierArmingsBeforeHistograms) {
  const v1::RecordReport part = WithArmings(PartOf(1, kTargets, 100, 0), kMaxArmings);
  ASSERT_GT(part.ByteSizeLong(), kMaxReportBytes);
  chaos::v1::Report report;
  AddToReport(part, kNewestVersion, &report);
  EXPECT_LE(report.ByteSizeLong(), kMaxReportBytes);
  EXPECT_EQ(report.targets(0).faults(0).armings_size(), kMaxArmings);
  const auto& last = report.targets(kTargets - 1);
  ASSERT_EQ(last.faults(0).armings_size(), kFewArmings);
  EXPECT_EQ(last.faults(0).armings(kFewArmings - 1).first(), 10u * (kMaxArmings - 1) + 1);
  for (const auto& target : report.targets()) {
    EXPECT_EQ(target.faults(0).counters().matched(), 100u * kMaxArmings);
    EXPECT_TRUE(target.during().has_latency()) << target.target_id();
  }
}

TEST(ReportFit, KeepsTotalsExactWhenHistogramsAreGivenUp) {
  const v1::RecordReport part = PartOf(1, kTargets, 300, 60, 4);
  chaos::v1::Report report;
  AddToReport(part, kNewestVersion, &report);
  EXPECT_LE(report.ByteSizeLong(), kMaxReportBytes);
  ExpectSame(TotalOf(part), TotalOf(report));
  EXPECT_TRUE(report.targets(0).during().has_latency()) << "more was given up than needed";
  const auto& last = report.targets(kTargets - 1);
  EXPECT_TRUE(last.histograms_left_out());
  EXPECT_FALSE(last.during().has_latency());
  EXPECT_EQ(last.during().requests(), 7u * 300);
  EXPECT_EQ(last.during().handshakes(), 7u * 300);
  EXPECT_EQ(last.during().packets(), 14u * 300);
  EXPECT_EQ(last.during().traffic().retransmits(), 3u);
  EXPECT_TRUE(last.events_left_out());
  EXPECT_EQ(last.during().traffic().events_lost(), 4u);
  EXPECT_FALSE(report.left_out().during().traffic().has_smoothed_rtt());
}

TEST(ReportFit, OfSeveralNodesThatLeftOutSomethingAlreadyIsExactToo) {
  chaos::v1::Report report;
  Histogram all;
  for (const uint64_t node : {2u, 1u, 3u}) {
    v1::RecordReport part = PartOf(node, kTargets, 300, 60);
    all.Merge(TotalOf(part));
    Fit(&part);
    EXPECT_LE(part.ByteSizeLong(), kMaxReportBytes);
    EXPECT_TRUE(part.has_left_out());
    AddToReport(part, kNewestVersion, &report);
    const std::string once = report.SerializeAsString();
    AddToReport(part, kNewestVersion, &report);
    EXPECT_EQ(report.SerializeAsString(), once) << "a part that came twice counted twice";
  }
  ExpectSame(all, TotalOf(report));
  EXPECT_LE(report.ByteSizeLong(), kMaxReportBytes);
}

TEST(ReportFit, GivesUpWhatPacketsWaitedWithTheOtherHistograms) {
  const v1::RecordReport part = WithDelays(PartOf(1, kTargets, 20, 0), 2, 200);
  v1::RecordReport fits = part;
  Fit(&fits);
  chaos::v1::Report report;
  AddToReport(fits, kNewestVersion, &report);
  EXPECT_LE(report.ByteSizeLong(), kMaxReportBytes);
  EXPECT_TRUE(report.targets(0).faults(0).has_given());
  const auto& last = report.targets(kTargets - 1);
  EXPECT_TRUE(last.histograms_left_out());
  EXPECT_FALSE(last.faults(0).has_given());
  EXPECT_FALSE(last.during().has_latency());
  EXPECT_EQ(last.faults(0).counters().delays_measured(), 7u * 200);
  for (const uint32_t fault : {0u, 1u}) ExpectSame(DelaysOf(part, fault), DelaysOf(report, fault));
}

// Its agent was on two nodes, and one of them had no room for its histograms.
TEST(ReportFit, ATargetHasAllOfItsHistogramsOrNone) {
  for (const bool first_gives_up : {false, true}) {
    v1::RecordReport parts[] = {WithDelays(PartOf(1, 1, 20, 5), 1, 20),
                                WithDelays(PartOf(1, 1, 30, 5), 1, 30)};
    parts[1].mutable_targets(0)->set_node_ids(0, 2);
    Histogram all = TotalOf(parts[0]), delays = DelaysOf(parts[0], 0);
    all.Merge(TotalOf(parts[1]));
    delays.Merge(DelaysOf(parts[1], 0));
    auto& given_up = parts[first_gives_up ? 0 : 1];
    GiveUpHistograms(given_up.mutable_targets(0), given_up.mutable_left_out());
    chaos::v1::Report report;
    for (const auto& part : parts) AddToReport(part, kNewestVersion, &report);
    ASSERT_EQ(report.targets_size(), 1);
    EXPECT_FALSE(report.targets(0).during().has_latency());
    EXPECT_EQ(report.targets(0).during().requests(), 7u * 50);
    EXPECT_FALSE(report.targets(0).faults(0).has_given());
    ExpectSame(all, TotalOf(report));
    ExpectSame(delays, DelaysOf(report, 0));
  }
}

TEST(ReportFit, CountsEventsThatFoundNoRoomOnce) {
  v1::RecordReport part;
  for (int i = 0; i < kMaxReportEvents + 20; ++i) {
    part.add_events()->mutable_time()->set_seconds(i);
  }
  part.mutable_left_out()->set_events(30);
  chaos::v1::Report report;
  AddToReport(part, kNewestVersion, &report);
  EXPECT_EQ(report.events_size(), kMaxReportEvents);
  EXPECT_EQ(report.left_out().events(), 50u);
  AddToReport(part, kNewestVersion, &report);
  EXPECT_EQ(report.left_out().events(), 50u);
}

// Programs of before apply the same commands: they must come to the same.
TEST(ReportFit, IsNotKnownBeforeItsVersion) {
  chaos::v1::Report report;
  AddToReport(PartOf(1, kTargets, 300, 60, 4), kLeftOutVersion - 1, &report);
  EXPECT_FALSE(report.has_left_out());
  EXPECT_EQ(report.targets(0).points_size(), 60);
  const auto& last = report.targets(kTargets - 1);
  EXPECT_FALSE(last.histograms_left_out());
  EXPECT_FALSE(last.during().has_latency());
  EXPECT_EQ(last.during().requests(), 0u);
}

TEST(ReportFit, WhatPacketsWaitedIsNotToldToVersionsThatDoNotKnowIt) {
  v1::RecordReport part = WithDelays(PartOf(1, 2, 20, 0), 1, 20);
  GiveUpHistograms(part.mutable_targets(0), part.mutable_left_out());
  EXPECT_EQ(VersionOf(part), kDelaysVersion);
  v1::RecordReport known = part;
  FitVersion(kDelaysVersion, &known);
  EXPECT_EQ(known.SerializeAsString(), part.SerializeAsString());
  FitVersion(kDelaysVersion - 1, &part);
  EXPECT_EQ(VersionOf(part), kLeftOutVersion);
  EXPECT_EQ(DelaysOf(part, 0).count(), 0u);
  EXPECT_EQ(part.targets(1).faults(0).counters().delays_measured(), 7u * 20);
  EXPECT_TRUE(part.targets(1).during().has_latency());
}

TEST(ReportFit, LetsCoursesOfManyTargetsHaveFewerPoints) {
  EXPECT_GE(PointsFor(0), 120u);
  EXPECT_GE(PointsFor(20), 120u);
  EXPECT_LT(PointsFor(100), 40u);
  EXPECT_EQ(PointsFor(100'000), kFewPoints);
}

}  // namespace
}  // namespace faultline::control
