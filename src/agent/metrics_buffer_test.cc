#include "agent/metrics_buffer.h"

#include <gtest/gtest.h>

namespace faultline::agent {
namespace {

TEST(MetricsBuffer, NumbersBatchesFromOneWithoutAGapAndKeepsTheLast) {
  MetricsBuffer buffer("host-1", 7, 3);
  for (int i = 1; i <= 5; ++i) {
    const auto& batch = buffer.Add(std::vector<chaos::v1::TargetSample>(2), 100 + i, 10);
    EXPECT_EQ(batch.position().sequence(), static_cast<uint64_t>(i));
    EXPECT_EQ(batch.position().agent_id(), "host-1");
    EXPECT_EQ(batch.position().incarnation(), 7u);
    EXPECT_EQ(batch.timestamp_ns(), 100 + i);
    EXPECT_EQ(batch.samples_size(), 2);
  }
  ASSERT_EQ(buffer.kept().size(), 3u);
  EXPECT_EQ(buffer.kept().front().position().sequence(), 3u);
}

}  // namespace
}  // namespace faultline::agent
