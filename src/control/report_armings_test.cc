#include "control/report_armings.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace faultline::control {
namespace {

using chaos::v1::FaultArming;
using chaos::v1::FaultEffect;

FaultArming Arming(uint64_t incarnation, uint64_t first, uint64_t last, uint64_t first_matched,
                   uint64_t matched) {
  FaultArming arming;
  arming.set_incarnation(incarnation);
  arming.set_first(first);
  arming.set_last(last);
  arming.set_first_matched(first_matched);
  arming.mutable_counters()->set_matched(matched);
  arming.mutable_counters()->set_dropped(matched / 2);
  return arming;
}

// Of these armings, and of others that were seen as a whole.
FaultEffect Effect(uint64_t matched, const std::vector<FaultArming>& armings) {
  FaultEffect effect;
  effect.mutable_counters()->set_matched(matched);
  effect.mutable_counters()->set_dropped(matched / 2);
  effect.set_by_arming(true);
  effect.mutable_armings()->Assign(armings.begin(), armings.end());
  return effect;
}

FaultEffect Merged(const FaultEffect& a, const FaultEffect& b) {
  FaultEffect merged = a;
  MergeCounters(b, &merged);
  return merged;
}

// As merged in either order.
void ExpectMatched(uint64_t matched, const FaultEffect& a, const FaultEffect& b) {
  for (const FaultEffect& merged : {Merged(a, b), Merged(b, a)}) {
    EXPECT_EQ(merged.counters().matched(), matched);
    EXPECT_EQ(merged.counters().dropped(), matched / 2);
  }
}

TEST(ReportArmings, OfAnotherStartOfTheAgentAreAddedUp) {
  ExpectMatched(1'600, Effect(1'000, {Arming(1, 1, 10, 1, 1'000)}),
                Effect(600, {Arming(2, 1, 20, 2, 600)}));
}

TEST(ReportArmings, ThatGoOnAtAnotherNodeCountOnce) {
  ExpectMatched(600, Effect(400, {Arming(1, 1, 10, 1, 400)}),
                Effect(600, {Arming(1, 20, 30, 450, 600)}));
}

TEST(ReportArmings, ThatWereSeenToBeginOrToEndOrWhoseCountersFellAreOther) {
  FaultArming began = Arming(1, 20, 30, 450, 600), ended = Arming(1, 1, 10, 1, 400);
  began.set_began(true);
  ended.set_ended(true);
  ExpectMatched(1'000, Effect(400, {Arming(1, 1, 10, 1, 400)}), Effect(600, {began}));
  ExpectMatched(1'000, Effect(400, {ended}), Effect(600, {Arming(1, 20, 30, 450, 600)}));
  ExpectMatched(1'000, Effect(400, {Arming(1, 1, 10, 1, 400)}),
                Effect(600, {Arming(1, 20, 30, 399, 600)}));
}

TEST(ReportArmings, ThatOneNodeSawAsAWholeAreAddedUp) {
  ExpectMatched(1'100, Effect(500, {Arming(1, 1, 10, 1, 400)}),
                Effect(1'000, {Arming(1, 20, 30, 450, 600)}));
  ExpectMatched(700, Effect(300, {}), Effect(400, {}));
}

// The second node saw that what seemed to go on at the first one was armed anew in between.
TEST(ReportArmings, AreToldApartByTheNodeThatSawThemChange) {
  for (const uint64_t first : {15u, 16u}) {
    FaultArming before = Arming(1, 11, 15, 410, 440), after = Arming(1, first, 20, 1, 100);
    before.set_ended(true);
    after.set_began(true);
    ExpectMatched(1'040, Effect(600, {Arming(1, 1, 10, 1, 400), Arming(1, 21, 30, 500, 600)}),
                  Effect(540, {before, after}));
  }
}

TEST(ReportArmings, OfThreeNodesComeToTheSameInEveryOrder) {
  std::vector<FaultEffect> parts = {Effect(100, {Arming(1, 1, 10, 1, 100)}),
                                    Effect(200, {Arming(1, 11, 20, 110, 200)}),
                                    Effect(300, {Arming(1, 21, 30, 210, 300)})};
  std::vector<int> order = {0, 1, 2};
  do {
    FaultEffect merged = parts[static_cast<size_t>(order[0])];
    MergeCounters(parts[static_cast<size_t>(order[1])], &merged);
    MergeCounters(parts[static_cast<size_t>(order[2])], &merged);
    EXPECT_EQ(merged.counters().matched(), 300u);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST(ReportArmings, StayWithinTheirBoundAndKeepTheirSum) {
  FaultEffect merged = Effect(0, {});
  for (uint64_t incarnation = 1; incarnation <= 100; ++incarnation) {
    MergeCounters(Effect(10, {Arming(incarnation, 1, 10, 1, 10)}), &merged);
  }
  EXPECT_EQ(merged.armings_size(), kMaxArmings);
  EXPECT_EQ(merged.counters().matched(), 1'000u);
}

TEST(ReportArmings, AreUnknownToEarlierVersionsOfWhichTheLargerCountersCount) {
  FaultEffect old = Effect(1'000, {});
  old.clear_by_arming();
  ExpectMatched(1'000, old, Effect(600, {Arming(1, 1, 10, 1, 600)}));
  EXPECT_FALSE(Merged(old, Effect(600, {})).by_arming());
}

}  // namespace
}  // namespace faultline::control
