#include "agent/sample_totals.h"

#include <gtest/gtest.h>

#include "base/log_linear.h"

namespace faultline::agent {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr size_t kOf3Ms = 25;  // 2.82 to 3.55 ms

// As Prometheus' histogram_quantile() has it: evenly spread within a bucket.
double QuantileNs(const SampleTotals::Durations& durations, double quantile) {
  uint64_t all = 0;
  for (const uint64_t count : durations.counts) all += count;
  double rank = quantile * static_cast<double>(all), below = 0;
  for (size_t i = 0; i < SampleTotals::kBounds; ++i) {
    const auto upper = static_cast<double>(SampleTotals::kBoundsNs[i]);
    const auto count = static_cast<double>(durations.counts[i]);
    if (count >= rank) return below + (upper - below) * rank / count;
    rank -= count;
    below = upper;
  }
  return below;
}

chaos::v1::TargetSample Sample(const std::string& target, const std::string& experiment,
                               uint64_t dropped) {
  chaos::v1::TargetSample sample;
  sample.set_target_id(target);
  sample.set_packets(10);
  sample.set_bytes(1'000);
  sample.mutable_latency()->add_index(fl_hist_bucket(3'000'000));
  sample.mutable_latency()->add_count(2);
  if (!experiment.empty()) {
    auto* fault = sample.add_faults();
    fault->set_experiment_id(experiment);
    fault->set_dropped(dropped);
  }
  return sample;
}

TEST(SampleTotals, SumUpTargetsAndKeepFaultsCounters) {
  SampleTotals totals;
  totals.Add({Sample("a", "e1", 3), Sample("b", "", 0)}, kSecond);
  totals.Add({Sample("a", "e1", 7)}, 2 * kSecond);
  EXPECT_EQ(totals.targets().at("a").packets, 20u);
  EXPECT_EQ(totals.targets().at("b").bytes, 1'000u);
  EXPECT_EQ(totals.targets().at("a").requests.counts[kOf3Ms], 4u);
  EXPECT_NEAR(totals.targets().at("a").requests.seconds, 0.012, 0.012 * 0.01);
  EXPECT_EQ(totals.faults().at({"e1", 0, "a"}).counters.dropped(), 7u);
}

TEST(SampleTotals, SumUpWhatWasSeenOfConnections) {
  SampleTotals totals;
  chaos::v1::TargetSample sample = Sample("a", "", 0);
  sample.mutable_traffic()->set_resets_sent(2);
  for (int i = 0; i < 20; ++i) sample.mutable_traffic()->add_events();
  sample.mutable_traffic()->set_events_lost(5);
  *sample.mutable_traffic()->mutable_handshake() = sample.latency();
  totals.Add({sample}, kSecond);
  totals.Add({sample}, 2 * kSecond);
  EXPECT_EQ(totals.targets().at("a").traffic.resets_sent(), 4u);
  EXPECT_EQ(totals.targets().at("a").traffic.events_lost(), 10u);
  EXPECT_EQ(totals.targets().at("a").traffic.events_size(), 0) << "they are no counter";
  EXPECT_EQ(totals.targets().at("a").handshakes.counts[kOf3Ms], 4u);
}

TEST(SampleTotals, SumUpWhatFaultsPacketsWaited) {
  SampleTotals totals;
  chaos::v1::TargetSample sample = Sample("a", "e1", 3);
  for (const char* experiment : {"e1", "e1", "unknown"}) {
    sample.add_fault_delays()->set_experiment_id(experiment);
    *sample.mutable_fault_delays()->rbegin()->mutable_given() = sample.latency();
  }
  totals.Add({sample}, kSecond);
  totals.Add({sample}, 2 * kSecond);
  ASSERT_EQ(totals.faults().size(), 1u);
  EXPECT_EQ(totals.faults().at({"e1", 0, "a"}).delays.counts[kOf3Ms], 8u);
}

TEST(SampleTotals, ForgetWhatEndedLongAgo) {
  SampleTotals totals;
  totals.Add({Sample("a", "e1", 3)}, kSecond);
  totals.Add({Sample("a", "", 0)}, SampleTotals::kKeepEndedNs);
  EXPECT_EQ(totals.faults().size(), 1u);
  totals.Add({Sample("a", "", 0)}, SampleTotals::kKeepEndedNs + 2 * kSecond);
  EXPECT_TRUE(totals.faults().empty());
  EXPECT_EQ(totals.targets().size(), 1u);
}

TEST(SampleTotals, AreBoundedHoweverManyFaultsCome) {
  SampleTotals totals;
  for (size_t i = 0; i < 2 * SampleTotals::kMaxFaults; ++i) {
    totals.Add({Sample("a", "e" + std::to_string(i), 1)}, kSecond + i);
  }
  EXPECT_EQ(totals.faults().size(), SampleTotals::kMaxFaults);
  EXPECT_TRUE(
      totals.faults().contains({"e" + std::to_string(2 * SampleTotals::kMaxFaults - 1), 0, "a"}));
}

TEST(SampleTotals, GiveTheQuantilesOfRoundDelaysThatAreALittleLate) {
  for (const double asked_ms : {0.05, 0.1, 0.2, 1.0, 2.0, 5.0, 10.0, 50.0, 100.0, 1e3, 1e4, 6e4}) {
    SampleTotals::Durations durations;
    chaos::v1::SparseHistogram given;
    given.add_index(fl_hist_bucket(static_cast<uint64_t>(asked_ms * 1.002e6)));
    given.add_count(1'000);
    durations.Add(given);
    EXPECT_NEAR(QuantileNs(durations, 0.5), asked_ms * 1e6, asked_ms * 0.06e6) << asked_ms;
    EXPECT_NEAR(QuantileNs(durations, 0.99), asked_ms * 1e6, asked_ms * 0.19e6) << asked_ms;
  }
}

TEST(SampleTotals, ShowEveryTargetThatIsThereAndABoundedNumberOfThoseThatAreGone) {
  constexpr size_t kThere = 300, kMore = 5;
  SampleTotals totals;
  std::vector<chaos::v1::TargetSample> there;
  for (size_t i = 0; i < kThere; ++i) there.push_back(Sample("t" + std::to_string(i), "", 0));
  for (size_t i = 0; i < SampleTotals::kMaxGoneTargets + kMore; ++i) {
    auto now = there;
    now.push_back(Sample("gone" + std::to_string(i), "", 0));
    totals.Add(now, kSecond + i);
  }
  EXPECT_EQ(totals.targets().at("t0").packets, 10 * (SampleTotals::kMaxGoneTargets + kMore));
  EXPECT_EQ(totals.targets().at("t299").packets, 10 * (SampleTotals::kMaxGoneTargets + kMore));
  // The last of them is still there.
  EXPECT_EQ(totals.targets().size(), kThere + 1 + SampleTotals::kMaxGoneTargets);
  EXPECT_FALSE(totals.targets().contains("gone0"));
}

}  // namespace
}  // namespace faultline::agent
