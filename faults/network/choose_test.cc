// The kernel's choice of packets, run here, under the plans of the loss models.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "faults/network/choose.bpf.h"
#include "faults/network/plan.h"

namespace faultline::network {
namespace {

namespace pb = ::network::v1;

constexpr int kPackets = 200'000;

// Each packet is a train of so many segments, which lanes would cut.
std::vector<bool> Fates(const pb::NetworkLoss& loss, uint64_t seed = 42, uint32_t segments = 1) {
  const ActionPlan plan = Plan(loss, seed);
  fl_rule rule{};
  rule.action = plan.action;
  rule.choice_seed = seed;
  rule.choice = plan.choice;
  std::vector<bool> lost(kPackets);
  uint64_t turn = 0;
  for (int i = 0; i < kPackets; ++i) {
    lost[i] = fl_chooses(&rule, turn) != 0;
    turn += fl_counts_as(&rule, segments);
  }
  return lost;
}

pb::NetworkLoss Loss(double percent, pb::LossModel model = pb::LOSS_MODEL_RANDOM) {
  pb::NetworkLoss loss;
  loss.set_loss_percent(percent);
  loss.set_model(model);
  loss.set_burst_packets(10);
  loss.set_bad_loss_percent(100);
  return loss;
}

double ShareOf(const std::vector<bool>& lost) {
  return static_cast<double>(std::ranges::count(lost, true)) / kPackets;
}

// Mean length of the runs of lost packets.
double RunLength(const std::vector<bool>& lost) {
  int runs = 0;
  for (int i = 0; i < kPackets; ++i) runs += lost[i] && (i == 0 || !lost[i - 1]);
  return ShareOf(lost) * kPackets / runs;
}

// Five standard errors of a share of that many packets, `runs` of which share a fate.
double Bound(double share, double runs = 1) {
  return 5 * std::sqrt(share * (1 - share) * runs / kPackets);
}

TEST(LossModels, RandomLosesTheShareAskedInNoOrder) {
  const auto lost = Fates(Loss(20));
  EXPECT_NEAR(ShareOf(lost), 0.2, Bound(0.2));
  EXPECT_NEAR(RunLength(lost), 1 / 0.8, 0.02);
  EXPECT_EQ(ShareOf(Fates(Loss(0))), 0);
  EXPECT_EQ(ShareOf(Fates(Loss(100))), 1);
}

TEST(LossModels, EveryNthLosesExactlyThose) {
  const auto lost = Fates(Loss(33.3, pb::LOSS_MODEL_EVERY_NTH));
  for (int i = 0; i < kPackets; ++i) ASSERT_EQ(lost[i], i % 3 == 2) << i;
}

TEST(LossModels, GilbertElliottLosesTheShareAskedInBurstsOfTheLengthAsked) {
  const auto lost = Fates(Loss(10, pb::LOSS_MODEL_GILBERT_ELLIOTT));
  EXPECT_NEAR(ShareOf(lost), 0.1, Bound(0.1, 20));
  // 2,000 bursts of geometric length: five standard errors.
  EXPECT_NEAR(RunLength(lost), 10, 5 * 10 / std::sqrt(2000));
}

TEST(LossModels, GilbertElliottLosesItsSharesInGoodAndInBadPeriods) {
  auto loss = Loss(10, pb::LOSS_MODEL_GILBERT_ELLIOTT);
  loss.set_bad_loss_percent(50);
  loss.set_good_loss_percent(1);
  loss.set_burst_packets(100);
  const auto lost = Fates(loss);
  EXPECT_NEAR(ShareOf(lost), 0.1, Bound(0.1, 50));
  // After a lost packet the state is bad with 9/49 of the time, which makes 50 of 10.
  int pairs = 0, first = 0;
  for (int i = 1; i < kPackets; ++i) {
    first += lost[i - 1];
    pairs += lost[i - 1] && lost[i];
  }
  const double bad = 9.0 / 49 * 0.5 / 0.1;
  EXPECT_NEAR(static_cast<double>(pairs) / first, bad * 0.5 + (1 - bad) * 0.01, 0.05);
}

TEST(LossModels, CorrelationTiesNeighboursAndKeepsTheShare) {
  auto loss = Loss(20);
  loss.set_correlation_percent(75);
  const auto lost = Fates(loss);
  // (1 + c) / (1 - c) packets share a fate.
  EXPECT_NEAR(ShareOf(lost), 0.2, Bound(0.2, 7));
  double products = 0;
  for (int i = 1; i < kPackets; ++i) products += (lost[i] - 0.2) * (lost[i - 1] - 0.2);
  EXPECT_NEAR(products / kPackets / (0.2 * 0.8), 0.75, 0.03);
}

TEST(LossModels, ATrainIsOnePacketAlsoWhileLanesCutTrains) {
  for (const auto model :
       {pb::LOSS_MODEL_RANDOM, pb::LOSS_MODEL_GILBERT_ELLIOTT, pb::LOSS_MODEL_EVERY_NTH}) {
    EXPECT_EQ(Fates(Loss(5, model), 42, 45), Fates(Loss(5, model), 42)) << model;
  }
  fl_rule held{};
  held.action = FL_ACT_LANE;
  EXPECT_EQ(fl_counts_as(&held, 45), 45u);
}

TEST(LossModels, TheSameSeedLosesTheSamePackets) {
  for (const auto model :
       {pb::LOSS_MODEL_RANDOM, pb::LOSS_MODEL_GILBERT_ELLIOTT, pb::LOSS_MODEL_EVERY_NTH}) {
    EXPECT_EQ(Fates(Loss(20, model), 5), Fates(Loss(20, model), 5));
  }
  EXPECT_NE(Fates(Loss(20), 5), Fates(Loss(20), 6));
}

}  // namespace
}  // namespace faultline::network
