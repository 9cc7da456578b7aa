// What a subscriber is told of every batch, whatever happens: as itself, merged, or missed.
#include "server/metric_queue.h"

#include <gtest/gtest.h>

#include <map>

#include "server/metrics_testing.h"

namespace faultline::server {
namespace {

using chaos::v1::MetricUpdate;
using metrics_testing::Batch;
using metrics_testing::Drain;
using metrics_testing::Of;

// (sequence, merged, missed)
using Told = std::tuple<uint64_t, uint64_t, uint64_t>;

std::vector<Told> TellAll(MetricsHub::Subscription& subscription) {
  std::vector<Told> told;
  for (const auto& update : Drain(subscription)) {
    told.emplace_back(update.position().sequence(), update.merged_batches(),
                      update.missed_batches());
  }
  return told;
}

MetricsHub::Filter ResumeAfter(uint64_t sequence) {
  auto filter = Of("exp-1");
  filter.resume[{"a", 1}] = sequence;
  return filter;
}

void Ingest(MetricsHub& hub, uint64_t from, uint64_t to) {
  for (uint64_t sequence = from; sequence <= to; ++sequence) hub.Ingest(Batch(sequence), false);
}

std::shared_ptr<const MetricUpdate> LastOf(const std::string& experiment) {
  const auto last = std::make_shared<MetricUpdate>();
  last->set_experiment_id(experiment);
  last->mutable_end()->set_status(chaos::v1::EXPERIMENT_STATUS_COMPLETED);
  return last;
}

TEST(MetricQueue, WhoResumesAfterMoreThanIsKeptIsToldTheGap) {
  MetricsHub hub;
  Ingest(hub, 1, 100);
  const auto resumed = hub.Subscribe(ResumeAfter(20), [] {});
  EXPECT_EQ(TellAll(*resumed), std::vector<Told>({{100, 49, 30}}));
  Ingest(hub, 101, 101);
  EXPECT_EQ(TellAll(*resumed), std::vector<Told>({{101, 0, 0}}));
}

TEST(MetricQueue, WhoResumesAtANodeThatDoesNotKnowTheSourceYetIsToldTheGap) {
  MetricsHub hub;
  const auto resumed = hub.Subscribe(ResumeAfter(20), [] {});
  Ingest(hub, 26, 27);
  EXPECT_EQ(TellAll(*resumed), std::vector<Told>({{27, 1, 5}}));
}

// A stream broke between two series of one batch: of the one that is further nothing comes twice.
TEST(MetricQueue, WhoResumesWithASeriesThatIsFurtherGetsWhatThatLacksAndNoMore) {
  MetricsHub hub;
  const auto ingest = [&hub](uint64_t sequence) {
    auto batch = Batch(sequence);
    *batch.add_samples() = batch.samples(0);
    batch.mutable_samples(1)->set_target_id("a/y");
    hub.Ingest(batch, false);
  };
  for (uint64_t sequence = 1; sequence <= 8; ++sequence) ingest(sequence);
  auto filter = ResumeAfter(4);
  filter.include_histogram = true;
  filter.resume_series[{"exp-1", "a/y", "a", 1}] = 6;
  const auto resumed = hub.Subscribe(filter, [] {});
  std::map<std::string, std::pair<uint64_t, uint64_t>> packets_and_requests;
  for (const auto& update : Drain(*resumed)) {
    EXPECT_EQ(update.missed_batches(), 0u);
    auto& [packets, requests] = packets_and_requests[update.target_id()];
    packets += update.packets();
    requests += update.latency().count(0);
  }
  using Sums = std::pair<uint64_t, uint64_t>;
  EXPECT_EQ(packets_and_requests["a/x"], Sums(400, 40));
  EXPECT_EQ(packets_and_requests["a/y"], Sums(200, 20));
  ingest(9);
  EXPECT_EQ(TellAll(*resumed), std::vector<Told>({{9, 0, 0}, {9, 0, 0}}));
}

TEST(MetricQueue, WhatTheNodeMissedBeforeASubscriberStoodIsNotHisGap) {
  MetricsHub hub;
  Ingest(hub, 1, 5);
  Ingest(hub, 10, 12);
  const auto resumed = hub.Subscribe(ResumeAfter(8), [] {});
  EXPECT_EQ(TellAll(*resumed), std::vector<Told>({{12, 2, 1}}));
}

TEST(MetricQueue, ANewSubscriberHasMissedNothingBeforeItsFirstUpdate) {
  MetricsHub hub;
  Ingest(hub, 1, 1);
  const auto subscription = hub.Subscribe(Of("exp-1"), [] {});
  // As when the relay from another node is opened again for this subscriber.
  Ingest(hub, 50, 50);
  EXPECT_EQ(TellAll(*subscription), std::vector<Told>({{50, 0, 0}}));
  Ingest(hub, 53, 53);
  EXPECT_EQ(TellAll(*subscription), std::vector<Told>({{53, 0, 2}}));
}

TEST(MetricQueue, TheEndComesAfterWhatWaitsForALowRatesTurnAndNothingAfterIt) {
  MetricsHub hub;
  auto filter = Of("exp-1");
  filter.rate_hz = 0.01;
  int woken = 0;
  const auto subscription = hub.Subscribe(filter, [&] { ++woken; });
  Ingest(hub, 1, 1);
  EXPECT_EQ(TellAll(*subscription), std::vector<Told>({{1, 0, 0}}));
  Ingest(hub, 2, 9);
  EXPECT_TRUE(TellAll(*subscription).empty());
  woken = 0;
  subscription->End(LastOf("exp-1"));
  EXPECT_EQ(woken, 1);
  Ingest(hub, 10, 10);
  const auto updates = Drain(*subscription);
  ASSERT_EQ(updates.size(), 2u);
  EXPECT_EQ(updates[0].position().sequence(), 9u);
  EXPECT_EQ(updates[0].merged_batches(), 7u);
  EXPECT_EQ(updates[1].SerializeAsString(), LastOf("exp-1")->SerializeAsString());
}

TEST(MetricQueue, TheEndOfOneExperimentHoldsUpNoOther) {
  MetricsHub hub;
  auto filter = Of("exp-1");
  filter.experiment_ids.insert("exp-2");
  filter.rate_hz = 0.01;
  const auto subscription = hub.Subscribe(filter, [] {});
  const auto offer = [&hub](uint64_t sequence) {
    auto batch = Batch(sequence);
    batch.mutable_samples(0)->add_faults()->set_experiment_id("exp-2");
    hub.Ingest(batch, false);
  };
  offer(1);
  EXPECT_EQ(Drain(*subscription).size(), 2u);
  offer(2);
  subscription->End(LastOf("exp-2"));
  const auto updates = Drain(*subscription);
  ASSERT_EQ(updates.size(), 2u) << "exp-1 waits for its turn";
  for (const auto& update : updates) EXPECT_EQ(update.experiment_id(), "exp-2");
  EXPECT_TRUE(updates[1].has_end());
  offer(3);
  subscription->End(LastOf("exp-1"));
  const auto rest = Drain(*subscription);
  ASSERT_EQ(rest.size(), 2u);
  EXPECT_EQ(rest[0].merged_batches(), 1u);
  EXPECT_EQ(rest[1].experiment_id(), "exp-1");
}

TEST(MetricQueue, AnAgentsClockThatIsSetBackHoldsNothingUp) {
  MetricsHub hub;
  const auto subscription = hub.Subscribe(Of("exp-1"), [] {});
  Ingest(hub, 1'000, 1'000);
  EXPECT_EQ(TellAll(*subscription).size(), 1u);
  auto earlier = Batch(1);
  earlier.mutable_position()->set_sequence(1'001);
  hub.Ingest(earlier, false);
  EXPECT_EQ(TellAll(*subscription), std::vector<Told>({{1'001, 0, 0}}));
}

TEST(MetricQueue, ARateOfNearlyNothingIsOne) {
  MetricsHub hub;
  auto filter = Of("exp-1");
  filter.rate_hz = 1e-300;
  const auto subscription = hub.Subscribe(filter, [] {});
  Ingest(hub, 1, 1);
  EXPECT_EQ(TellAll(*subscription), std::vector<Told>({{1, 0, 0}}));
  Ingest(hub, 2, 3);
  EXPECT_TRUE(TellAll(*subscription).empty());
  subscription->End(LastOf("exp-1"));
  const auto updates = Drain(*subscription);
  ASSERT_EQ(updates.size(), 2u);
  EXPECT_EQ(updates[0].merged_batches(), 1u);
}

// Directly, as hours pass.
TEST(MetricQueue, ASeriesThatIsForgottenLeavesNothingUnsaid) {
  auto filter = Of("exp-1");
  filter.rate_hz = 0.01;
  MetricQueue queue(filter);
  Counter merged;
  TargetWindows windows;
  const auto offer = [&](const std::string& agent, uint64_t before, uint64_t sequence,
                         uint64_t now_ns) {
    auto batch = Batch(sequence);
    batch.mutable_position()->set_agent_id(agent);
    std::vector<SharedUpdate> updates;
    for (const auto& update : windows.Add(batch, 0, MetricTotals().Add(batch, true, now_ns))) {
      updates.push_back({update, update});
    }
    const MetricQueue::SourceKey key{agent, 1};
    queue.Offer({key, before, sequence, updates}, now_ns, &merged);
  };
  offer("a", 0, 1, 0);
  while (queue.Next()) continue;
  offer("a", 1, 2, 0);  // waits for its turn
  for (size_t i = 0; i < MetricQueue::kLeastSeries; ++i) {
    offer(fmt::format("other-{}", i), 0, 1, 2 * MetricQueue::kSilentSeriesNs);
  }
  bool said = false;
  while (const auto update = queue.Next()) {
    said |= update->position().agent_id() == "a" && update->position().sequence() == 2;
  }
  EXPECT_TRUE(said);
}

}  // namespace
}  // namespace faultline::server
