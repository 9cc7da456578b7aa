// What stands in an update: percentiles, rates, what was merged and what is missing.
#include <gtest/gtest.h>

#include "server/metrics_testing.h"

namespace faultline::server {
namespace {

using chaos::v1::MetricsBatch;
using metrics_testing::Batch;
using metrics_testing::Drain;
using metrics_testing::Of;

TEST(MetricUpdates, TakesPercentilesOverTheLastSecond) {
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

TEST(MetricUpdates, TellsEveryPercentileAndTheHighestValue) {
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

TEST(MetricUpdates, TellsRatesOverTheLastSecondOfEachTarget) {
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

TEST(MetricUpdates, WhatIsMergedFromMoreThanASecondHasItsPercentilesAndRatesOverAllOfIt) {
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

TEST(MetricUpdates, TheSequenceShowsWhatWasMergedAndWhatNeverCame) {
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

TEST(MetricUpdates, AHistogramThatIsNotOursIsLeftOutAndTheRestCounts) {
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

TEST(MetricUpdates, CountsThatNoTargetReachesHarmNothing) {
  constexpr uint64_t kHalf = uint64_t{1} << 63;
  constexpr std::pair<uint64_t, uint64_t> kCountsAndDrops[] = {
      {1, 0}, {kHalf, 1}, {kHalf, kHalf + 1}, {1, 0}, {1, kHalf}};
  MetricsHub hub;
  const auto subscription = hub.Subscribe(Of("exp-1"), [] {});
  uint64_t sequence = 0;
  for (const auto& [count, dropped] : kCountsAndDrops) {
    MetricsBatch batch = Batch(++sequence, 640, count);
    auto* sample = batch.mutable_samples(0);
    sample->mutable_faults(0)->clear_experiment_id();  // of one sum only
    sample->mutable_faults(0)->set_dropped(dropped);
    sample->add_fault_delays()->set_experiment_id("exp-1");
    *sample->mutable_fault_delays(0)->mutable_given() = sample->latency();
    hub.Ingest(batch, false);
  }
  // Until nothing of those is in the last second.
  while (sequence < 25) hub.Ingest(Batch(++sequence, 640, 10, ""), false);
  Drain(*subscription);
  hub.Ingest(Batch(++sequence), false);
  const auto updates = Drain(*subscription);
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_EQ(updates[0].request_count(), 100u);
  EXPECT_EQ(updates[0].drops_per_second(), 0);
  EXPECT_EQ(updates[0].fault_delays_size(), 0);
}

TEST(MetricUpdates, SaysWhatCouldNotBeMeasured) {
  MetricsHub hub;
  const auto subscription = hub.Subscribe(Of("exp-1"), [] {});
  auto batch = Batch(1);
  batch.mutable_samples(0)->set_not_measurable(3);
  batch.mutable_samples(0)->set_not_measurable_reason("HTTP/2");
  hub.Ingest(batch, false);
  const auto updates = Drain(*subscription);
  EXPECT_FALSE(updates[0].measurable());
  EXPECT_EQ(updates[0].not_measurable_reason(), "HTTP/2");
  // It is said, and why, as long as it is within the time of the percentiles.
  for (uint64_t sequence = 2; sequence <= 11; ++sequence) {
    hub.Ingest(Batch(sequence), false);
    const auto update = Drain(*subscription).at(0);
    EXPECT_EQ(update.measurable(), sequence == 11);
    EXPECT_EQ(update.not_measurable_reason(), sequence == 11 ? "" : "HTTP/2");
  }
}

// A batch with one handshake of 2 ms times its sequence, and one refused connection.
MetricsBatch WithTraffic(uint64_t sequence) {
  MetricsBatch batch = Batch(sequence);
  auto* traffic = batch.mutable_samples(0)->mutable_traffic();
  traffic->mutable_handshake()->set_scheme(chaos::v1::HISTOGRAM_SCHEME_LOG_LINEAR_NS_64);
  traffic->mutable_handshake()->add_index(fl_hist_bucket(sequence * 2 * kNanosPerMilli));
  traffic->mutable_handshake()->add_count(1);
  traffic->set_refused_sent(1);
  return batch;
}

TEST(MetricUpdates, TellsHandshakesOverTheLastSecondAndCountsOfTheInterval) {
  MetricsHub hub;
  const auto subscription = hub.Subscribe(Of("exp-1"), [] {});
  for (uint64_t sequence = 1; sequence <= 19; ++sequence) {
    hub.Ingest(WithTraffic(sequence), false);
    const auto updates = Drain(*subscription);
    ASSERT_EQ(updates.size(), 1u);
    EXPECT_EQ(updates[0].handshake_count(), std::min<uint64_t>(sequence, 10));
    EXPECT_EQ(updates[0].traffic().refused_sent(), 1u);
    EXPECT_FALSE(updates[0].traffic().has_handshake());
    // Of the last ten the fifth, and of fewer the one in the middle.
    const double median = sequence <= 10 ? static_cast<double>((sequence + 1) / 2)
                                         : static_cast<double>(sequence - 5);
    EXPECT_NEAR(updates[0].p50_handshake_ms(), 2 * median, 0.5) << sequence;
  }
}

// A batch with a fault's packet that waited 2 ms times its sequence, and another experiment's.
MetricsBatch WithDelays(uint64_t sequence) {
  MetricsBatch batch = Batch(sequence);
  for (const char* experiment : {"exp-1", "exp-2"}) {
    auto* delays = batch.mutable_samples(0)->add_fault_delays();
    delays->set_experiment_id(experiment);
    delays->set_fault_index(3);
    Histogram given;
    given.Record(sequence * 2 * kNanosPerMilli);
    *delays->mutable_given() = given.ToSparse();
    delays->set_no_room(1);
  }
  return batch;
}

TEST(MetricUpdates, TellsWhatItsOwnFaultsPacketsWaitedOverTheLastSecond) {
  MetricsHub hub;
  const auto subscription = hub.Subscribe(Of("exp-1"), [] {});
  for (uint64_t sequence = 1; sequence <= 19; ++sequence) {
    // The last ones waited before the last batch.
    hub.Ingest(sequence < 19 ? WithDelays(sequence) : Batch(sequence), false);
    const auto updates = Drain(*subscription);
    ASSERT_EQ(updates.size(), 1u);
    ASSERT_EQ(updates[0].fault_delays_size(), 1);
    const auto& delays = updates[0].fault_delays(0);
    EXPECT_EQ(delays.experiment_id(), "exp-1");
    EXPECT_EQ(delays.fault_index(), 3u);
    EXPECT_FALSE(delays.has_given()) << "nobody asked for buckets";
    const uint64_t packets = sequence < 19 ? std::min<uint64_t>(sequence, 10) : 9;
    EXPECT_EQ(delays.packets(), packets);
    EXPECT_NEAR(delays.p99_ms(), 2 * static_cast<double>(std::min<uint64_t>(sequence, 18)), 0.5);
    EXPECT_EQ(delays.no_room(), sequence < 19 ? 1u : 0u);
  }
  for (uint64_t sequence = 20; sequence <= 30; ++sequence) {
    hub.Ingest(Batch(sequence), false);
    const auto updates = Drain(*subscription);
    ASSERT_EQ(updates.size(), 1u);
    EXPECT_EQ(updates[0].fault_delays_size(), sequence < 29 ? 1 : 0) << sequence;
  }
}

TEST(MetricUpdates, MergesWhatPacketsWaitedForWhoeverIsSlow) {
  MetricsHub hub;
  auto filter = Of("exp-1");
  filter.include_histogram = true;
  const auto slow = hub.Subscribe(filter, [] {});
  for (uint64_t sequence = 1; sequence <= 20; ++sequence) hub.Ingest(WithDelays(sequence), false);
  const auto updates = Drain(*slow);
  ASSERT_EQ(updates.size(), 1u);
  ASSERT_EQ(updates[0].fault_delays_size(), 1);
  const auto& delays = updates[0].fault_delays(0);
  EXPECT_EQ(delays.packets(), 20u);
  EXPECT_NEAR(delays.p50_ms(), 20, 0.5);
  EXPECT_EQ(delays.no_room(), 20u);
  Histogram given;
  ASSERT_TRUE(given.Merge(delays.given()).ok());
  EXPECT_EQ(given.count(), 20u);
}

TEST(MetricUpdates, MergesWhatWasSeenExactlyForWhoeverIsSlow) {
  MetricsHub hub;
  auto filter = Of("exp-1");
  filter.include_histogram = true;
  const auto slow = hub.Subscribe(filter, [] {});
  for (uint64_t sequence = 1; sequence <= 20; ++sequence) hub.Ingest(WithTraffic(sequence), false);
  const auto updates = Drain(*slow);
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_EQ(updates[0].traffic().refused_sent(), 20u);
  EXPECT_EQ(updates[0].handshake_count(), 20u);
  EXPECT_NEAR(updates[0].p50_handshake_ms(), 20, 0.5);
  EXPECT_NEAR(updates[0].p99_handshake_ms(), 40, 0.5);
  Histogram histogram;
  ASSERT_TRUE(histogram.Merge(updates[0].traffic().handshake()).ok());
  EXPECT_EQ(histogram.count(), 20u);
}

}  // namespace
}  // namespace faultline::server
