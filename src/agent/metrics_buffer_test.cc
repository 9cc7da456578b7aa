#include "agent/metrics_buffer.h"

#include <gtest/gtest.h>

namespace faultline::agent {
namespace {

using Samples = std::vector<chaos::v1::TargetSample>;

constexpr uint64_t kIntervalNs = 100'000'000;

Samples Busy() {
  Samples samples(2);
  samples[1].set_packets(1);
  return samples;
}

TEST(MetricsBuffer, NumbersBatchesFromOneWithoutAGapAndKeepsTheLast) {
  MetricsBuffer buffer("host-1", 7, 3);
  for (int i = 1; i <= 5; ++i) {
    ASSERT_EQ(buffer.Add(Busy(), 100 + i, kIntervalNs), 1u);
    const auto& batch = buffer.kept().back();
    EXPECT_EQ(batch.position().sequence(), static_cast<uint64_t>(i));
    EXPECT_EQ(batch.position().agent_id(), "host-1");
    EXPECT_EQ(batch.position().incarnation(), 7u);
    EXPECT_EQ(batch.timestamp_ns(), 100 + i);
    EXPECT_EQ(batch.interval_ns(), kIntervalNs);
    EXPECT_EQ(batch.samples_size(), 2);
  }
  ASSERT_EQ(buffer.kept().size(), 3u);
  EXPECT_EQ(buffer.kept().front().position().sequence(), 3u);
}

TEST(MetricsBuffer, JoinsQuietReadingsToOneBatchASecond) {
  MetricsBuffer buffer("host-1", 7, 30);
  for (int i = 1; i <= 9; ++i) EXPECT_EQ(buffer.Add(Samples(2), i, kIntervalNs), 0u);
  ASSERT_EQ(buffer.Add(Samples(2), 10, kIntervalNs), 1u);
  const auto& batch = buffer.kept().back();
  EXPECT_EQ(batch.position().sequence(), 1u);
  EXPECT_EQ(batch.timestamp_ns(), 10);
  EXPECT_EQ(batch.interval_ns(), 10 * kIntervalNs);
  EXPECT_EQ(batch.samples_size(), 2);
  EXPECT_EQ(buffer.Add(Samples(2), 11, kIntervalNs), 0u);
}

TEST(MetricsBuffer, WhatEndsAQuietTimeIsABatchOfItsOwn) {
  MetricsBuffer buffer("host-1", 7, 30);
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(buffer.Add(Samples(2), i, kIntervalNs), 0u);
  ASSERT_EQ(buffer.Add(Busy(), 4, kIntervalNs), 2u);
  ASSERT_EQ(buffer.kept().size(), 2u);
  EXPECT_EQ(buffer.kept()[0].timestamp_ns(), 3);
  EXPECT_EQ(buffer.kept()[0].interval_ns(), 3 * kIntervalNs);
  EXPECT_EQ(buffer.kept()[1].timestamp_ns(), 4);
  EXPECT_EQ(buffer.kept()[1].interval_ns(), kIntervalNs);
  EXPECT_EQ(buffer.kept()[1].position().sequence(), 2u);
}

TEST(MetricsBuffer, AFaultIsNeverQuiet) {
  MetricsBuffer buffer("host-1", 7, 30);
  Samples samples(2);
  samples[0].add_faults()->set_experiment_id("e");
  EXPECT_EQ(buffer.Add(samples, 1, kIntervalNs), 1u);
  EXPECT_EQ(buffer.Add(samples, 2, kIntervalNs), 1u);
}

}  // namespace
}  // namespace faultline::agent
