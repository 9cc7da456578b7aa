#include "base/measurements.h"

#include <gtest/gtest.h>

#include "base/histogram.h"

namespace faultline {
namespace {

chaos::v1::Measurements Measured(uint64_t value_ns, uint64_t count) {
  chaos::v1::Measurements measured;
  Histogram histogram;
  histogram.Record(value_ns, count);
  *measured.mutable_latency() = histogram.ToSparse();
  return measured;
}

TEST(Measurements, WhatIsNoHistogramIsNotCounted) {
  chaos::v1::Measurements broken = Measured(5'000'000, 3);
  broken.mutable_latency()->add_index(1);  // does not grow
  broken.mutable_latency()->add_count(1);
  chaos::v1::Measurements sum = Measured(5'000'000, 3);
  AddMeasurements(broken, &sum);
  EXPECT_EQ(sum.latency().count(0), 3u);
  EXPECT_EQ(sum.latency().index_size(), 1);
}

chaos::v1::ReportPoint Point(uint64_t offset_ms, uint64_t length_ms) {
  chaos::v1::ReportPoint point;
  point.set_offset_ms(offset_ms);
  point.set_length_ms(length_ms);
  return point;
}

TEST(Measurements, AGapIsWhatAReaderOfTheCourseWouldMiss) {
  EXPECT_EQ(GapMs(Point(0, 1'000), Point(1'000, 1'000)), 0u);
  EXPECT_EQ(GapMs(Point(0, 1'000), Point(1'300, 1'000)), 0u);
  EXPECT_EQ(GapMs(Point(0, 1'000), Point(25'000, 1'000)), 24'000u);
  EXPECT_EQ(GapMs(Point(0, 60'000), Point(62'000, 60'000)), 0u) << "of an hour's course";
  EXPECT_EQ(GapMs(Point(0, 60'000), Point(90'000, 60'000)), 30'000u);
  EXPECT_EQ(GapMs(Point(0, 1'000), Point(500, 1'000)), 0u) << "they overlap";
}

}  // namespace
}  // namespace faultline
