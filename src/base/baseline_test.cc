#include "base/baseline.h"

#include <gtest/gtest.h>

namespace faultline {
namespace {

constexpr uint64_t kTenthNs = 100'000'000;
constexpr int64_t kSecondNs = 1'000'000'000;

// A target of one start of an agent, ten times a second, with one packet each time.
class Measured {
 public:
  explicit Measured(Baseline* baseline) : baseline_(baseline) {}

  void Tenths(int count, const std::string& experiment = "") {
    for (int i = 0; i < count; ++i) {
      const int64_t begin_ns = now_ns;
      now_ns += static_cast<int64_t>(kTenthNs);
      chaos::v1::TargetSample sample;
      sample.set_packets(1);
      if (!experiment.empty()) sample.add_faults()->set_experiment_id(experiment);
      baseline_->Add(sample, {incarnation, ++sequence, begin_ns, now_ns, kTenthNs});
    }
  }

  int64_t now_ns = 1'700'000'000 * kSecondNs;
  uint64_t incarnation = 7, sequence = 0;

 private:
  Baseline* const baseline_;
};

uint64_t PacketsOf(const Baseline& baseline) {
  uint64_t packets = 0;
  for (const auto& slot : baseline.kept().slots()) packets += slot.measured().packets();
  return packets;
}

TEST(Baseline, KeepsTheLastTimeWithoutAFault) {
  Baseline baseline(std::chrono::seconds(3));
  Measured target(&baseline);
  target.Tenths(100);
  const int64_t end_ns = target.now_ns;
  target.Tenths(50, "e1");
  EXPECT_EQ(PacketsOf(baseline), 30u);
  EXPECT_EQ(baseline.kept().slots_size(), 3);
  EXPECT_EQ(baseline.kept().slots(2).end_unix_ns(), end_ns);
  EXPECT_EQ(baseline.kept().slots(0).begin_unix_ns(), end_ns - 3 * kSecondNs);
}

TEST(Baseline, NoSlotGoesOnOverAFaultOrOverTimeThatNothingIsKnownOf) {
  Baseline baseline;
  Measured target(&baseline);
  target.Tenths(4);
  target.Tenths(1, "e1");
  target.Tenths(4);
  EXPECT_EQ(baseline.kept().slots_size(), 2);
  target.now_ns += 2 * kSecondNs;
  target.Tenths(1);
  EXPECT_EQ(baseline.kept().slots_size(), 3);
}

TEST(Baseline, KnowsSinceWhenAnExperimentsFaultsAreOnAlthoughTheyWereInterrupted) {
  Baseline baseline;
  Measured target(&baseline);
  target.Tenths(10);
  const int64_t begin_ns = target.now_ns;
  target.Tenths(5, "e1");
  target.Tenths(50);
  target.Tenths(5, "e1");
  const auto begin = baseline.BeginOf("e1", {7, 70, target.now_ns, target.now_ns, 0});
  EXPECT_EQ(begin.unix_ns(), begin_ns);
  EXPECT_EQ(begin.sequence(), 11u);
  EXPECT_EQ(begin.incarnation(), 7u);
  target.Tenths(101);
  EXPECT_EQ(baseline.kept().faults_size(), 0) << "it is not only interrupted";
  EXPECT_EQ(baseline.BeginOf("e1", {7, 171, 5, 6, 1}).sequence(), 171u);
}

TEST(Baseline, KeepsABoundedNumberOfFaultsHoweverItComesToThem) {
  chaos::v1::TargetSample sample;
  chaos::v1::TargetBaseline given;
  for (int i = 0; i < 2 * Baseline::kMaxFaults; ++i) {
    sample.add_faults()->set_experiment_id("e" + std::to_string(i));
    given.add_faults()->set_experiment_id("g" + std::to_string(i));
  }
  Baseline measured, taken;
  measured.Add(sample, {7, 1, 0, 1, 1});
  taken.Take(given);
  EXPECT_EQ(measured.kept().faults_size(), Baseline::kMaxFaults);
  EXPECT_EQ(taken.kept().faults_size(), Baseline::kMaxFaults);
  measured.Take(taken.kept());
  EXPECT_EQ(measured.kept().faults_size(), Baseline::kMaxFaults);
}

TEST(Baseline, TakesOverWhatAnotherHasKeptAndCountsNothingTwice) {
  Baseline old, given;
  Measured target(&given);
  Measured missed(&old);
  missed.Tenths(20);  // before the agent was started anew
  target.incarnation = 8;
  target.now_ns = missed.now_ns + kSecondNs;
  Baseline both = old;
  target.Tenths(30);
  Measured again(&both);  // a part of the same time
  again.incarnation = 8;
  again.now_ns = missed.now_ns + kSecondNs;
  again.Tenths(20);
  target.Tenths(1, "e1");
  both.Take(given.kept());
  EXPECT_EQ(PacketsOf(both), 50u);
  EXPECT_EQ(both.BeginOf("e1", {}).sequence(), 31u);
  both.Take({});
  EXPECT_EQ(PacketsOf(both), 50u) << "of an agent that has measured nothing yet";
}

TEST(Baseline, CountsNothingTwiceAndLosesNothingWhenTheClockWasSetMeanwhile) {
  for (const int64_t step_ns : {7'200 * kSecondNs, -7'200 * kSecondNs}) {
    Baseline both, given;
    Measured known(&both), told(&given);
    for (Measured* target : {&known, &told}) {
      target->Tenths(20);
      target->now_ns += step_ns;
      target->Tenths(20);
    }
    both.Take(given.kept());
    EXPECT_EQ(PacketsOf(both), 40u);
  }
}

TEST(Baseline, ASlotIsOfOneStartOfItsAgent) {
  Baseline baseline;
  Measured target(&baseline);
  target.Tenths(4);
  target.incarnation = 8;
  target.sequence = 0;
  target.Tenths(4);
  ASSERT_EQ(baseline.kept().slots_size(), 2);
  EXPECT_EQ(IsBefore(baseline.kept().slots(0), 7, 5), true);
  EXPECT_EQ(IsBefore(baseline.kept().slots(0), 7, 4), false);
  EXPECT_EQ(IsBefore(baseline.kept().slots(0), 8, 5), std::nullopt);
  EXPECT_EQ(baseline.kept().slots(1).first(), 1u);
}

}  // namespace
}  // namespace faultline
