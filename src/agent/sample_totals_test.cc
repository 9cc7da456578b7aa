#include "agent/sample_totals.h"

#include <gtest/gtest.h>

#include "base/log_linear.h"

namespace faultline::agent {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

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
  EXPECT_EQ(totals.targets().at("a").requests.counts[5], 4u);  // 2.5 to 5 ms
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
  EXPECT_EQ(totals.targets().at("a").handshakes.counts[5], 4u);
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
  EXPECT_EQ(totals.faults().at({"e1", 0, "a"}).delays.counts[5], 8u);
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

}  // namespace
}  // namespace faultline::agent
