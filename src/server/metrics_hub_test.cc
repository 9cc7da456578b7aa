#include "server/metrics_hub.h"

#include <gtest/gtest.h>

#include "base/clock.h"
#include "server/metrics_testing.h"

namespace faultline::server {
namespace {

using chaos::v1::MetricsBatch;
using chaos::v1::MetricUpdate;
using metrics_testing::Batch;
using metrics_testing::Drain;
using metrics_testing::Of;

TEST(MetricsHub, GivesEachSubscriberWhatItAskedFor) {
  MetricsHub hub;
  int woken = 0;
  const auto mine = hub.Subscribe(Of("exp-1"), [&] { ++woken; });
  const auto other = hub.Subscribe(Of("exp-2"), [] {});
  MetricsHub::Filter observing;
  observing.observes = [](const std::string& target) { return target == "a/x"; };
  const auto observer = hub.Subscribe(observing, [] {});
  EXPECT_TRUE(hub.Ingest(Batch(1), false));
  EXPECT_EQ(woken, 1);
  const auto updates = Drain(*mine);
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_EQ(updates[0].experiment_id(), "exp-1");
  EXPECT_EQ(updates[0].target_id(), "a/x");
  EXPECT_EQ(updates[0].packet_drops(), 1);
  EXPECT_EQ(updates[0].request_count(), 10u);
  EXPECT_TRUE(updates[0].measurable());
  EXPECT_FALSE(updates[0].has_latency());
  EXPECT_EQ(updates[0].merged_batches(), 0u);
  EXPECT_TRUE(Drain(*other).empty());
  ASSERT_EQ(Drain(*observer).size(), 1u);
}

TEST(MetricsHub, MergesForWhoIsSlow) {
  MetricsHub hub;
  auto filter = Of("exp-1");
  filter.include_histogram = true;
  const auto slow = hub.Subscribe(filter, [] {});
  for (uint64_t sequence = 1; sequence <= 4; ++sequence) hub.Ingest(Batch(sequence), false);
  const auto updates = Drain(*slow);
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_EQ(updates[0].merged_batches(), 3u);
  EXPECT_EQ(updates[0].packets(), 400u);
  EXPECT_EQ(updates[0].latency().count(0), 40u);
  EXPECT_EQ(updates[0].position().sequence(), 4u);
  EXPECT_EQ(updates[0].packet_drops(), 4);
}

TEST(MetricsHub, MergesForWhoWantsALowerRate) {
  MetricsHub hub;
  auto filter = Of("exp-1");
  filter.rate_hz = 2;
  const auto subscription = hub.Subscribe(filter, [] {});
  std::vector<MetricUpdate> updates;
  uint64_t batches = 0;
  for (uint64_t sequence = 1; sequence <= 51; ++sequence) {
    hub.Ingest(Batch(sequence), false);
    for (const auto& update : Drain(*subscription)) {
      batches += update.merged_batches() + 1;
      updates.push_back(update);
    }
  }
  EXPECT_EQ(updates.size(), 11u);
  EXPECT_EQ(batches, 51u);
}

TEST(MetricsHub, IgnoresWhatItHasAlready) {
  MetricsHub hub;
  EXPECT_TRUE(hub.Ingest(Batch(5), false));
  EXPECT_FALSE(hub.Ingest(Batch(5), true));
  EXPECT_FALSE(hub.Ingest(Batch(4), false));
  EXPECT_TRUE(hub.Ingest(Batch(6), false));
}

TEST(MetricsHub, ResumesWithoutAHoleAndWithoutARepeat) {
  MetricsHub hub;
  for (uint64_t sequence = 1; sequence <= 8; ++sequence) hub.Ingest(Batch(sequence), false);
  auto filter = Of("exp-1");
  filter.rate_hz = 50;
  filter.resume[{"a", 1}] = 5;
  int woken = 0;
  const auto resumed = hub.Subscribe(filter, [&] { ++woken; });
  EXPECT_EQ(woken, 1);
  const auto updates = Drain(*resumed);
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_EQ(updates[0].position().sequence(), 8u);
  EXPECT_EQ(updates[0].merged_batches(), 2u);
  EXPECT_EQ(updates[0].packets(), 300u);
}

TEST(MetricsHub, RelaysItsOwnBatchesWithHistoryAndNeverWhatWasRelayed) {
  MetricsHub hub;
  hub.Ingest(Batch(1), false);
  const auto relay = hub.SubscribeRelay([] {});
  hub.Ingest(Batch(2), false);
  auto elsewhere = Batch(9);
  elsewhere.mutable_position()->set_agent_id("b");
  hub.Ingest(elsewhere, true);
  ASSERT_EQ(relay->Next()->position().sequence(), 1u);
  ASSERT_EQ(relay->Next()->position().sequence(), 2u);
  EXPECT_EQ(relay->Next(), nullptr);
}

TEST(MetricsHub, RelaysOnceWhatAnAgentSendsAgainAfterItsNodeDied) {
  MetricsHub hub;
  const auto relay = hub.SubscribeRelay([] {});
  // By the agent's first node, which may have died before it told a third one.
  for (uint64_t sequence = 1; sequence <= 2; ++sequence) hub.Ingest(Batch(sequence), true);
  EXPECT_EQ(relay->Next(), nullptr);
  const auto late = hub.SubscribeRelay([] {});
  for (int stream = 0; stream < 2; ++stream) {
    for (uint64_t sequence = 1; sequence <= 3; ++sequence) {
      EXPECT_EQ(hub.Ingest(Batch(sequence), false), stream == 0 && sequence == 3);
    }
  }
  for (const auto& to : {relay.get(), late.get()}) {
    for (uint64_t sequence = 1; sequence <= 3; ++sequence) {
      const auto batch = to->Next();
      ASSERT_NE(batch, nullptr);
      EXPECT_EQ(batch->position().sequence(), sequence);
    }
    EXPECT_EQ(to->Next(), nullptr);
  }
}

TEST(MetricsHub, ARelayThatIsNotReadHoldsABoundedNumberOfBytesAndTheRestIsCounted) {
  MetricsHub hub;
  const auto relay = hub.SubscribeRelay([] {});
  MetricsBatch large = Batch(0);
  large.mutable_samples(0)->set_not_measurable_reason(std::string(100'000, 'x'));
  constexpr uint64_t kBatches = 400;
  for (uint64_t sequence = 1; sequence <= kBatches; ++sequence) {
    large.mutable_position()->set_sequence(sequence);
    hub.Ingest(large, false);
  }
  uint64_t kept = 0, bytes = 0, newest = 0;
  while (const auto batch = relay->Next()) {
    ++kept;
    bytes += batch->ByteSizeLong();
    newest = batch->position().sequence();
  }
  EXPECT_LE(bytes, MetricsHub::kRelayBytes);
  EXPECT_GE(bytes, MetricsHub::kRelayBytes * 9 / 10);
  EXPECT_EQ(newest, kBatches);
  EXPECT_EQ(hub.meters().relay_dropped.value(), kBatches - kept);
}

TEST(MetricsHub, IsWantedWhileSomeoneSubscribes) {
  MetricsHub hub;
  std::vector<bool> wanted;
  hub.ObserveDemand([&] { wanted.push_back(hub.wanted()); });
  auto first = hub.Subscribe(Of("exp-1"), [] {});
  auto second = hub.Subscribe(Of("exp-1"), [] {});
  first.reset();
  second.reset();
  EXPECT_EQ(wanted, (std::vector<bool>{true, false}));
}

}  // namespace
}  // namespace faultline::server
