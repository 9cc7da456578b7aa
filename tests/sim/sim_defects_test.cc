// Whole systems whose membership is broken in one way each: the referee sees it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/log.h"
#include "sim/cluster.h"
#include "sim/switchable_membership.h"

namespace faultline::sim {
namespace {

using testing::HasSubstr;

// The operator changes members in every run, sooner or later in each way.
constexpr uint64_t kSeeds = 60;

std::string Run(uint64_t seed) {
  Faults faults;
  faults.members = true;
  Cluster cluster({.seed = seed, .faults = faults});
  return cluster.Run();
}

// Some seed shows the defect, as what it is (another one may show first what comes of it); without
// the defect nothing is wrong with that seed.
void ExpectSeen(bool MembershipDefects::* defect, const std::string& as) {
  SilenceLog();
  std::string seen;
  uint64_t seed = 0;
  Defects().*defect = true;
  while (seen.find(as) == std::string::npos && seed < kSeeds) seen = Run(++seed);
  Defects() = {};
  EXPECT_THAT(seen, HasSubstr(as)) << "seed " << seed;
  EXPECT_EQ(Run(seed), "") << "seed " << seed << ", without the defect";
}

TEST(BrokenMembership, IsSeenWhenTwoMembersAreRemovedAtOnce) {
  ExpectSeen(&MembershipDefects::two_at_once, "one change at a time");
}

TEST(BrokenMembership, IsSeenWhenANewMemberVotesAtOnce) {
  ExpectSeen(&MembershipDefects::voters_at_once, "one change at a time");
}

TEST(BrokenMembership, IsSeenWhenAnotherMemberIsRemovedThanWasAskedFor) {
  ExpectSeen(&MembershipDefects::wrong_one, "was not asked for it");
}

}  // namespace
}  // namespace faultline::sim
