// Thousands of virtual seconds of clusters under faults. FAULTLINE_SIM_SEED=n replays one seed,
// FAULTLINE_SIM_SEEDS=n runs so many of each kind.
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/clock.h"
#include "raft/sim_cluster.h"

namespace faultline::raft {
namespace {

constexpr uint64_t kDefaultSeeds = 120;
constexpr uint64_t kFaultyNs = 4 * kNanosPerSecond;
constexpr uint64_t kConvergeNs = 20 * kNanosPerSecond;

uint64_t FromEnvironment(const char* name, uint64_t fallback) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : fallback;
}

struct Totals {
  uint64_t acknowledged = 0, reads = 0, installed = 0, elections = 0;
};

void RunSeed(uint64_t seed, uint64_t size, const SimFaults& faults, Totals* totals) {
  SCOPED_TRACE("replay with FAULTLINE_SIM_SEED=" + std::to_string(seed));
  SimCluster cluster(seed, size, faults);
  cluster.RunWithFaults(kFaultyNs);
  ASSERT_EQ(cluster.violation(), "");
  EXPECT_TRUE(cluster.Converges(kConvergeNs)) << "the members do not agree once faults have ended";
  ASSERT_EQ(cluster.violation(), "");
  totals->acknowledged += cluster.acknowledged();
  totals->reads += cluster.reads();
  totals->installed += cluster.snapshots_installed();
  totals->elections += cluster.elections();
}

void RunSeeds(uint64_t size, const SimFaults& faults) {
  Totals totals;
  const uint64_t one = FromEnvironment("FAULTLINE_SIM_SEED", 0);
  const uint64_t last = one != 0 ? one : FromEnvironment("FAULTLINE_SIM_SEEDS", kDefaultSeeds);
  for (uint64_t seed = one != 0 ? one : 1; seed <= last; ++seed) {
    RunSeed(seed, size, faults, &totals);
    if (testing::Test::HasFailure()) return;
  }
  // The runs did what they are for.
  EXPECT_GT(totals.acknowledged, 0u);
  EXPECT_GT(totals.reads, 0u);
  std::printf("%lu acknowledged, %lu reads, %lu snapshots installed, %lu elections\n",
              totals.acknowledged, totals.reads, totals.installed, totals.elections);
}

TEST(RaftSimTest, AThreeNodeClusterWithoutFaultsAgrees) { RunSeeds(3, {}); }

TEST(RaftSimTest, ThreeNodesStandLossReorderingAndRepetition) {
  RunSeeds(3, {.loss = 0.05, .duplicate = 0.05, .late = 0.05, .slow_disks = true});
}

TEST(RaftSimTest, ThreeNodesStandPartitionsAndCrashes) {
  RunSeeds(3, {.loss = 0.01, .duplicate = 0.01, .late = 0.02, .partitions = true, .crashes = true});
}

TEST(RaftSimTest, ThreeNodesStandDisksThatHang) {
  RunSeeds(3, {.loss = 0.01, .late = 0.02, .slow_disks = true, .hanging_disks = true});
}

TEST(RaftSimTest, FiveNodesStandEverythingAtOnce) {
  RunSeeds(5, {.loss = 0.05,
               .duplicate = 0.05,
               .late = 0.05,
               .partitions = true,
               .crashes = true,
               .slow_disks = true});
}

}  // namespace
}  // namespace faultline::raft
