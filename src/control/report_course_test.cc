#include "control/report_course.h"

#include <gtest/gtest.h>

#include "control/report_parts.h"
#include "control/version.h"

namespace faultline::control {
namespace {

using chaos::v1::TargetReport;

constexpr int64_t kBeganNs = 1'700'000'000'000'000'000;
constexpr int64_t kSecondNs = 1'000'000'000;

// A part of a fault that began then: five seconds before it, and three under it, from `first_s` on,
// which are the batches of these numbers.
TargetReport Part(uint64_t node, int64_t began_ns, uint64_t first_s, uint64_t first,
                  uint64_t last) {
  TargetReport part;
  part.set_target_id("a/x");
  part.add_node_ids(node);
  part.set_fault_unix_ns(began_ns);
  part.mutable_before()->set_duration_ns(5 * kSecondNs);
  part.mutable_before()->set_requests(7);
  part.mutable_during()->set_duration_ns(3 * kSecondNs);
  for (uint64_t second = 0; second < 8; ++second) {
    auto* point = part.add_points();
    const bool before = second < 5;
    point->set_phase(before ? chaos::v1::REPORT_PHASE_BEFORE : chaos::v1::REPORT_PHASE_DURING);
    point->set_offset_ms(1'000 * (before ? second : second + first_s));
    point->set_length_ms(1'000);
    point->set_packets(node);
  }
  auto* range = part.add_ranges();
  range->set_incarnation(1);
  range->set_first(1);
  range->set_last(last);
  range->set_came(last - first + 1);
  part.set_batches(range->came());
  part.set_missing_batches(first - 1);
  return part;
}

TargetReport Merged(const TargetReport& a, const TargetReport& b) {
  chaos::v1::Report report;
  for (const TargetReport& target : {a, b}) {
    ::control::v1::RecordReport part;
    *part.add_targets() = target;
    AddToReport(part, kNewestVersion, &report);
  }
  return report.targets(0);
}

std::vector<uint64_t> OffsetsOf(const TargetReport& target, uint64_t node) {
  std::vector<uint64_t> offsets;
  for (const auto& point : target.points()) {
    if (point.packets() == node) offsets.push_back(point.offset_ms());
  }
  return offsets;
}

TEST(ReportCourse, OfTwoNodesIsOneByTheAgentsClock) {
  const TargetReport first = Part(1, kBeganNs, 0, 1, 30);
  const TargetReport second = Part(2, kBeganNs, 9, 91, 120);
  for (const bool backwards : {false, true}) {
    const TargetReport both = backwards ? Merged(second, first) : Merged(first, second);
    ASSERT_EQ(both.points_size(), 11);
    EXPECT_EQ(both.before().duration_ns(), 5u * kSecondNs);
    EXPECT_EQ(both.before().requests(), 7u);
    EXPECT_EQ(both.during().duration_ns(), 6u * kSecondNs);
    EXPECT_EQ(both.points(5).offset_ms(), 5'000u);
    EXPECT_EQ(both.points(8).offset_ms(), 14'000u);
    EXPECT_EQ(both.points(8).packets(), 2u);
    EXPECT_EQ(both.batches(), 60u);
    EXPECT_EQ(both.missing_batches(), 60u) << "of a third node that has died";
    EXPECT_EQ(both.fault_unix_ns(), kBeganNs);
  }
}

// The agent was started anew in between: to the second node its fault began then.
TEST(ReportCourse, HasBeforeOfTheNodeThatSawTheFaultBegin) {
  TargetReport first = Part(1, kBeganNs, 0, 1, 30);
  first.set_before_age_ms(1);
  TargetReport second = Part(2, kBeganNs + 20 * kSecondNs, 0, 1, 30);
  second.mutable_ranges(0)->set_incarnation(2);
  second.mutable_before()->set_requests(99);
  second.set_before_age_ms(2);
  for (const bool backwards : {false, true}) {
    const TargetReport both = backwards ? Merged(second, first) : Merged(first, second);
    EXPECT_EQ(both.before().requests(), 7u);
    EXPECT_EQ(both.before_age_ms(), 1u);
    EXPECT_EQ(both.fault_unix_ns(), kBeganNs);
    EXPECT_EQ(OffsetsOf(both, 2), (std::vector<uint64_t>{25'000, 26'000, 27'000}));
    EXPECT_EQ(both.ranges_size(), 2);
    EXPECT_EQ(both.missing_batches(), 0u);
  }
}

TEST(ReportCourse, TakesTheLongerBeforeOfOneBeginning) {
  const TargetReport whole = Part(1, kBeganNs, 0, 1, 30);
  TargetReport little = Part(2, kBeganNs, 3, 31, 60);
  little.mutable_before()->set_duration_ns(kSecondNs);
  little.mutable_points()->DeleteSubrange(0, 4);
  for (auto& point : *little.mutable_points()) point.set_offset_ms(point.offset_ms() - 4'000);
  for (const bool backwards : {false, true}) {
    const TargetReport both = backwards ? Merged(little, whole) : Merged(whole, little);
    EXPECT_EQ(both.before().duration_ns(), 5u * kSecondNs);
    ASSERT_EQ(both.points_size(), 11);
    EXPECT_EQ(both.points(10).offset_ms(), 10'000u);
    EXPECT_EQ(both.missing_batches(), 0u);
  }
}

// What the ranges have no room for is still missing.
TEST(ReportCourse, KeepsWhatIsMissingOfStartsThatTheRangesDoNotTellOf) {
  TargetReport first = Part(1, kBeganNs, 0, 1, 30);
  first.set_missing_batches(5);
  EXPECT_EQ(Merged(first, Part(2, kBeganNs, 3, 31, 60)).missing_batches(), 5u);
}

TEST(ReportCourse, KnowsWhetherTheFaultBeganElsewhere) {
  EXPECT_FALSE(BeganElsewhere(Part(1, kBeganNs, 0, 1, 30)));
  EXPECT_TRUE(BeganElsewhere(Part(1, kBeganNs, 1, 11, 30)));
  EXPECT_FALSE(BeganElsewhere({}));
  // Offset and length of the last point before it may both have been cut.
  for (const uint64_t cut_ms : {1, 2}) {
    TargetReport part = Part(1, kBeganNs, 0, 1, 30);
    for (auto& point : *part.mutable_points()) {
      const bool before = point.phase() == chaos::v1::REPORT_PHASE_BEFORE;
      if (!before) point.set_offset_ms(point.offset_ms() + cut_ms);
    }
    EXPECT_EQ(BeganElsewhere(part), cut_ms == 2);
  }
}

// Parts of programs before kTimesVersion, recorded before the cluster switched to it.
TEST(ReportCourse, OfAPartWithoutAClockIsAddedAsBefore) {
  TargetReport old = Part(1, kBeganNs, 0, 1, 30);
  old.clear_fault_unix_ns();
  old.clear_ranges();
  const TargetReport both = Merged(old, Part(2, kBeganNs, 3, 31, 60));
  EXPECT_EQ(both.before().duration_ns(), 10u * kSecondNs);
  EXPECT_EQ(both.points_size(), 8);
  EXPECT_EQ(both.missing_batches(), 30u);
}

}  // namespace
}  // namespace faultline::control
