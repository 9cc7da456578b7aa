// What a hub has of sources that have long been silent.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "server/metrics_testing.h"

namespace faultline::server {
namespace {

using metrics_testing::Batch;
using metrics_testing::Drain;
using metrics_testing::Of;

void WaitForSilence() {
  std::this_thread::sleep_for(std::chrono::nanoseconds(MetricSource::kHistoryNs) +
                              std::chrono::milliseconds(10));
}

TEST(MetricsHub, OffersNothingOldOfASourceThatHasLongBeenSilent) {
  MetricsHub hub;
  for (uint64_t sequence = 1; sequence <= 3; ++sequence) hub.Ingest(Batch(sequence), false);
  WaitForSilence();
  // It may have gone on at another node.
  const auto relay = hub.SubscribeRelay([] {});
  relay->Want({.all = true});
  EXPECT_EQ(relay->Next(), nullptr);
  auto filter = Of("exp-1");
  filter.resume[{"b", 1}] = 7;
  const auto other = hub.Subscribe(filter, [] {});
  EXPECT_TRUE(Drain(*other).empty());
  filter.resume[{"a", 1}] = 1;
  const auto resumed = hub.Subscribe(filter, [] {});
  const auto kept = Drain(*resumed);
  ASSERT_EQ(kept.size(), 1u);
  EXPECT_EQ(kept[0].position().sequence(), 3u);
  EXPECT_EQ(kept[0].merged_batches(), 1u);
  hub.Ingest(Batch(104), false);
  EXPECT_EQ(Drain(*other).at(0).missed_batches(), 0u);
  EXPECT_EQ(Drain(*resumed).at(0).missed_batches(), 100u);
}

TEST(MetricsHub, KeepsOfASourceThatHasLongBeenSilentOnlyWhereItStood) {
  MetricsHub hub;
  for (uint64_t sequence = 1; sequence <= 3; ++sequence) hub.Ingest(Batch(sequence), false);
  WaitForSilence();
  auto other = Batch(1);
  other.mutable_position()->set_agent_id("b");
  other.mutable_samples(0)->set_target_id("b/x");
  hub.Ingest(other, false);
  auto filter = Of("exp-1");
  filter.resume[{"a", 1}] = 1;
  const auto resumed = hub.Subscribe(filter, [] {});
  const auto kept = Drain(*resumed);
  ASSERT_EQ(kept.size(), 1u);
  EXPECT_EQ(kept[0].position().agent_id(), "b");
  EXPECT_FALSE(hub.Ingest(Batch(3), false)) << "it has come before";
  hub.Ingest(Batch(5), false);
  hub.Ingest(Batch(6), false);
  const auto updates = Drain(*resumed);
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_EQ(updates[0].missed_batches(), 3u) << "the second and the third are not kept";
  EXPECT_EQ(hub.meters().missed.value(), 1u);
  EXPECT_EQ(updates[0].packet_drops(), 6);
}

}  // namespace
}  // namespace faultline::server
