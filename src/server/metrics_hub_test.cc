#include "server/metrics_hub.h"

#include <gtest/gtest.h>

#include "base/clock.h"

namespace faultline::server {
namespace {

using chaos::v1::MetricsBatch;
using chaos::v1::MetricUpdate;

// A batch 100 ms after the one before, of one target with `count` requests in one bucket.
MetricsBatch Batch(uint64_t sequence, unsigned bucket = 640, uint64_t count = 10,
                   const std::string& experiment = "exp-1") {
  MetricsBatch batch;
  batch.mutable_position()->set_agent_id("a");
  batch.mutable_position()->set_incarnation(1);
  batch.mutable_position()->set_sequence(sequence);
  batch.set_interval_ns(100 * kNanosPerMilli);
  batch.set_timestamp_ns(static_cast<int64_t>(kNanosPerSecond + sequence * batch.interval_ns()));
  auto* sample = batch.add_samples();
  sample->set_target_id("a/x");
  sample->set_packets(100);
  sample->mutable_latency()->set_scheme(chaos::v1::HISTOGRAM_SCHEME_LOG_LINEAR_NS_64);
  sample->mutable_latency()->add_index(bucket);
  sample->mutable_latency()->add_count(count);
  if (!experiment.empty()) {
    auto* fault = sample->add_faults();
    fault->set_experiment_id(experiment);
    fault->set_dropped(sequence);
  }
  return batch;
}

MetricsHub::Filter Of(const std::string& experiment) {
  MetricsHub::Filter filter;
  filter.experiment_ids = {experiment};
  return filter;
}

std::vector<MetricUpdate> Drain(MetricsHub::Subscription& subscription) {
  std::vector<MetricUpdate> updates;
  while (auto update = subscription.Next()) updates.push_back(*std::move(update));
  return updates;
}

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

TEST(MetricsHub, TakesPercentilesOverTheLastSecond) {
  MetricsHub hub;
  const auto subscription = hub.Subscribe(Of("exp-1"), [] {});
  for (uint64_t sequence = 1; sequence <= 10; ++sequence) hub.Ingest(Batch(sequence, 640), false);
  Drain(*subscription);
  for (uint64_t sequence = 11; sequence <= 20; ++sequence) {
    hub.Ingest(Batch(sequence, 1'000), false);
    const auto updates = Drain(*subscription);
    ASSERT_EQ(updates.size(), 1u);
    EXPECT_EQ(updates[0].request_count(), 100u);
    const double p50_ns = updates[0].p50_latency_ms() * 1e6;
    const unsigned expected = sequence < 16 ? 640 : 1'000;
    EXPECT_GE(p50_ns, static_cast<double>(fl_hist_lower_ns(expected))) << sequence;
    EXPECT_LE(p50_ns, static_cast<double>(fl_hist_upper_ns(expected))) << sequence;
    EXPECT_GE(updates[0].p99_latency_ms() * 1e6, static_cast<double>(fl_hist_lower_ns(1'000)));
  }
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

TEST(MetricsHub, TellsEveryPercentileAndTheHighestValue) {
  MetricsHub hub;
  const auto subscription = hub.Subscribe(Of("exp-1"), [] {});
  MetricsBatch batch = Batch(1, 100, 5'000);
  auto* latency = batch.mutable_samples(0)->mutable_latency();
  for (const auto& [bucket, count] : {std::pair(200, 4'400), {300, 450}, {400, 141}, {500, 9}}) {
    latency->add_index(static_cast<uint32_t>(bucket));
    latency->add_count(static_cast<uint64_t>(count));
  }
  hub.Ingest(batch, false);
  const auto updates = Drain(*subscription);
  ASSERT_EQ(updates.size(), 1u);
  const auto bucket_of = [](double ms) { return fl_hist_bucket(static_cast<uint64_t>(ms * 1e6)); };
  EXPECT_EQ(bucket_of(updates[0].p50_latency_ms()), 100u);
  EXPECT_EQ(bucket_of(updates[0].p90_latency_ms()), 200u);
  EXPECT_EQ(bucket_of(updates[0].p95_latency_ms()), 300u);
  EXPECT_EQ(bucket_of(updates[0].p99_latency_ms()), 400u);
  EXPECT_EQ(bucket_of(updates[0].p999_latency_ms()), 400u);
  EXPECT_EQ(bucket_of(updates[0].max_latency_ms()), 500u);
  EXPECT_EQ(updates[0].request_count(), 10'000u);
}

TEST(MetricsHub, TellsRatesOverTheLastSecondOfEachTarget) {
  MetricsHub hub;
  MetricsHub::Filter filter = Of("exp-1");
  filter.observes = [](const std::string&) { return true; };
  const auto subscription = hub.Subscribe(filter, [] {});
  for (uint64_t sequence = 1; sequence <= 15; ++sequence) {
    MetricsBatch batch = Batch(sequence);
    batch.mutable_samples(0)->set_bytes(7'000);
    batch.mutable_samples(0)->mutable_faults(0)->set_dropped(1'000 + 3 * sequence);
    auto* other = batch.mutable_samples(0)->add_faults();
    other->set_experiment_id("exp-2");
    other->set_dropped(2 * sequence);
    hub.Ingest(batch, false);
    const auto updates = Drain(*subscription);
    ASSERT_EQ(updates.size(), 2u);
    EXPECT_DOUBLE_EQ(updates[0].requests_per_second(), 100);
    EXPECT_DOUBLE_EQ(updates[0].packets_per_second(), 1'000);
    EXPECT_DOUBLE_EQ(updates[0].bytes_per_second(), 70'000);
    EXPECT_EQ(updates[0].interval_ns(), 100 * kNanosPerMilli);
    if (sequence == 1) {
      // How long it took to drop a thousand is not known.
      EXPECT_EQ(updates[1].drops_per_second(), 0);
    } else if (sequence > 10) {
      EXPECT_DOUBLE_EQ(updates[0].drops_per_second(), 50);  // the target's, of both experiments
      EXPECT_DOUBLE_EQ(updates[1].drops_per_second(), 30);
    }
  }
}

TEST(MetricsHub, WhatIsMergedFromMoreThanASecondHasItsPercentilesAndRatesOverAllOfIt) {
  MetricsHub hub;
  const auto slow = hub.Subscribe(Of("exp-1"), [] {});
  hub.Ingest(Batch(1), false);
  Drain(*slow);
  for (uint64_t sequence = 2; sequence <= 31; ++sequence) {
    hub.Ingest(Batch(sequence, sequence < 12 ? 1'000 : 640), false);
  }
  const auto updates = Drain(*slow);
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_EQ(updates[0].merged_batches(), 29u);
  EXPECT_EQ(updates[0].interval_ns(), 3'000 * kNanosPerMilli);
  EXPECT_EQ(updates[0].request_count(), 300u);
  EXPECT_DOUBLE_EQ(updates[0].requests_per_second(), 100);
  EXPECT_DOUBLE_EQ(updates[0].packets_per_second(), 1'000);
  EXPECT_DOUBLE_EQ(updates[0].drops_per_second(), 10);
  // A third of the requests, and none of the last second's.
  EXPECT_GE(updates[0].p90_latency_ms() * 1e6, static_cast<double>(fl_hist_lower_ns(1'000)));
  EXPECT_LT(updates[0].p50_latency_ms() * 1e6, static_cast<double>(fl_hist_lower_ns(1'000)));
  EXPECT_FALSE(updates[0].has_latency());
}

TEST(MetricsHub, TheSequenceShowsWhatWasMergedAndWhatNeverCame) {
  MetricsHub hub;
  const auto subscription = hub.Subscribe(Of("exp-1"), [] {});
  uint64_t last = 0;
  const auto check = [&](uint64_t merged, uint64_t missed) {
    const auto updates = Drain(*subscription);
    ASSERT_EQ(updates.size(), 1u);
    EXPECT_EQ(updates[0].merged_batches(), merged);
    EXPECT_EQ(updates[0].missed_batches(), missed);
    EXPECT_EQ(updates[0].position().sequence(), last + 1 + merged + missed);
    last = updates[0].position().sequence();
  };
  hub.Ingest(Batch(1), false);
  check(0, 0);
  for (const uint64_t sequence : {2, 3, 7, 8}) hub.Ingest(Batch(sequence), false);
  check(3, 3);
  hub.Ingest(Batch(9), false);
  check(0, 0);
  hub.Ingest(Batch(12), false);
  check(0, 2);
  EXPECT_EQ(hub.meters().missed.value(), 5u);
}

TEST(MetricsHub, AHistogramThatIsNotOursIsLeftOutAndTheRestCounts) {
  MetricsHub hub;
  auto filter = Of("exp-1");
  filter.include_histogram = true;
  const auto subscription = hub.Subscribe(filter, [] {});
  hub.Ingest(Batch(1, FL_HIST_BUCKETS), false);
  hub.Ingest(Batch(2, 640), false);
  const auto updates = Drain(*subscription);
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_EQ(updates[0].request_count(), 10u);
  EXPECT_EQ(updates[0].latency().count_size(), 1);
  EXPECT_EQ(updates[0].packets(), 200u);
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

TEST(MetricsHub, SaysWhatCouldNotBeMeasured) {
  MetricsHub hub;
  const auto subscription = hub.Subscribe(Of("exp-1"), [] {});
  auto batch = Batch(1);
  batch.mutable_samples(0)->set_not_measurable(3);
  batch.mutable_samples(0)->set_not_measurable_reason("HTTP/2");
  hub.Ingest(batch, false);
  const auto updates = Drain(*subscription);
  EXPECT_FALSE(updates[0].measurable());
  EXPECT_EQ(updates[0].not_measurable_reason(), "HTTP/2");
}

}  // namespace
}  // namespace faultline::server
