#include "server/metric_totals.h"

#include <gtest/gtest.h>

#include "server/metrics_testing.h"

namespace faultline::server {
namespace {

using chaos::v1::FaultCounters;
using chaos::v1::MetricsBatch;
using metrics_testing::Batch;
using metrics_testing::Drain;
using metrics_testing::Of;

void SetCounters(uint64_t count, FaultCounters* counters) {
  counters->set_experiment_id("exp-1");
  counters->set_matched(2 * count);
  counters->set_dropped(count);
}

// A batch in which the fault has dropped so many since it was armed.
MetricsBatch Dropped(uint64_t sequence, uint64_t count, uint64_t incarnation = 1) {
  MetricsBatch batch = Batch(sequence);
  batch.mutable_position()->set_incarnation(incarnation);
  SetCounters(count, batch.mutable_samples(0)->mutable_faults(0));
  return batch;
}

// Takes in what follows, and what is told then of the experiment.
class MetricTotalsTest : public ::testing::Test {
 protected:
  void ExpectDrops(int64_t drops, const MetricsBatch& batch) {
    hub_.Ingest(batch, false);
    const auto updates = Drain(*subscription_);
    ASSERT_EQ(updates.size(), 1u);
    EXPECT_EQ(updates[0].packet_drops(), drops);
    ASSERT_EQ(updates[0].faults_size(), 1);
    EXPECT_EQ(updates[0].faults(0).matched(), static_cast<uint64_t>(2 * drops));
  }

  MetricsHub hub_;
  std::unique_ptr<MetricsHub::Subscription> subscription_ = hub_.Subscribe(Of("exp-1"), [] {});
};

TEST_F(MetricTotalsTest, WhatAFaultDidBeforeItWasArmedAnewCounts) {
  ExpectDrops(10, Dropped(1, 10));
  ExpectDrops(15, Dropped(2, 15));
  ExpectDrops(17, Dropped(3, 2));
  ExpectDrops(19, Dropped(4, 4));
}

TEST_F(MetricTotalsTest, AFaultThatWasOffBeganAnewThoughItsCountersHavePassedTheOldOnes) {
  ExpectDrops(10, Dropped(1, 10));
  hub_.Ingest(Batch(2, 640, 10, ""), false);
  ExpectDrops(22, Dropped(3, 12));
  // What came in between is missing: it may have gone on.
  ExpectDrops(30, Dropped(7, 20));
}

TEST_F(MetricTotalsTest, AFaultThatIsArmedAnewWithinOneBatchIsToldOnce) {
  ExpectDrops(10, Dropped(1, 10));
  MetricsBatch twice = Dropped(2, 13);
  SetCounters(14, twice.mutable_samples(0)->add_faults());
  ExpectDrops(27, twice);
  ExpectDrops(28, Dropped(3, 15));
}

TEST_F(MetricTotalsTest, AnotherStartOfTheAgentBeginsAnewAndLateBatchesOfTheOldOneDoNot) {
  ExpectDrops(10, Dropped(1, 10));
  ExpectDrops(30, Dropped(1, 20, /*incarnation=*/2));
  ExpectDrops(31, Dropped(2, 11, /*incarnation=*/1));
  ExpectDrops(34, Dropped(2, 23, /*incarnation=*/2));
}

TEST_F(MetricTotalsTest, OfATargetWithoutExperimentAllThatWasDroppedCounts) {
  MetricsHub::Filter filter;
  filter.observes = [](const std::string&) { return true; };
  const auto observer = hub_.Subscribe(filter, [] {});
  hub_.Ingest(Dropped(1, 10), false);
  hub_.Ingest(Batch(2, 640, 10, ""), false);
  const auto updates = Drain(*observer);
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_EQ(updates[0].packet_drops(), 10) << "though the fault is off";
  EXPECT_EQ(updates[0].faults_size(), 0);
}

// Directly, as time passes.
TEST(MetricTotals, WhatWasSilentForLongIsForgottenOnceThereAreMany) {
  MetricTotals totals;
  totals.Add(Dropped(1, 10), true, 0);
  EXPECT_EQ(totals.Add(Dropped(2, 4), true, 0).at(0).faults.at(0).dropped(), 14u);
  const uint64_t later_ns = 2 * MetricTotals::kForgetNs;
  for (uint64_t i = 0; i < 2 * MetricTotals::kFewFaults; ++i) {
    MetricsBatch batch = Dropped(1, 1);
    batch.mutable_samples(0)->set_target_id(fmt::format("b/{}", i));
    totals.Add(batch, true, later_ns + i * kNanosPerSecond / 100);
  }
  EXPECT_EQ(totals.Add(Dropped(3, 5), true, later_ns).at(0).faults.at(0).dropped(), 5u);
}

TEST(MetricTotals, BeyondItsBoundCountersAreToldAsTheyCome) {
  MetricTotals totals;
  MetricsBatch batch = Dropped(1, 1);
  for (size_t i = 1; i < MetricTotals::kMaxFaults; ++i) {
    auto* counters = batch.mutable_samples(0)->add_faults();
    SetCounters(1, counters);
    counters->set_fault_index(static_cast<uint32_t>(i));
  }
  totals.Add(batch, true, 0);
  for (const uint64_t sequence : {1, 2}) {
    MetricsBatch other = Dropped(sequence, 10 - sequence);
    other.mutable_samples(0)->set_target_id("b/x");
    const auto sums = totals.Add(other, true, 0).at(0);
    EXPECT_EQ(sums.faults.at(0).dropped(), 10 - sequence);
    EXPECT_EQ(sums.dropped, 10 - sequence);
  }
  // On a target of which others are known.
  MetricsBatch more = Dropped(2, 1);
  more.mutable_samples(0)->mutable_faults(0)->set_fault_index(UINT32_MAX);
  const auto sums = totals.Add(more, true, 0).at(0);
  EXPECT_EQ(sums.faults.at(0).dropped(), 1u);
  EXPECT_EQ(sums.dropped, MetricTotals::kMaxFaults + 1);
  EXPECT_EQ(totals.Add(Dropped(3, 4), true, 0).at(0).faults.at(0).dropped(), 5u);
}

}  // namespace
}  // namespace faultline::server
