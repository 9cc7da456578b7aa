// Whole systems under faults. FAULTLINE_SIM_SEEDS=n runs so many seeds, from FAULTLINE_SIM_SEED
// (default 1) on: scripts/sim.sh.
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/log.h"
#include "sim/cluster.h"

namespace faultline::sim {
namespace {

constexpr uint64_t kDefaultSeeds = 2'000;

uint64_t FromEnvironment(const char* name, uint64_t fallback) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : fallback;
}

struct Totals {
  uint64_t events = 0, committed = 0, elections = 0, restores = 0, finished = 0, calls = 0,
           answered = 0;
};

bool RunSeed(uint64_t seed, Totals* totals) {
  Cluster cluster({.seed = seed});
  const std::string wrong = cluster.Run();
  totals->events += cluster.world().events();
  totals->committed += cluster.referee().committed();
  totals->elections += cluster.referee().elections();
  totals->restores += cluster.referee().restores();
  totals->finished += cluster.referee().finished();
  totals->calls += cluster.history().size();
  totals->answered += cluster.history().returned();
  if (wrong.empty()) return true;
  ADD_FAILURE() << "seed " << seed << ": " << wrong << "\n\ntranscript (its end):\n"
                << cluster.world().Transcript() << "\nrun it again: scripts/sim.sh --seed " << seed
                << "\n";
  return false;
}

TEST(SimulatedSystem, KeepsItsPromisesUnderFaults) {
  if (std::getenv("FAULTLINE_SIM_LOG") == nullptr) SilenceLog();
  const uint64_t first = FromEnvironment("FAULTLINE_SIM_SEED", 1);
  const uint64_t count = FromEnvironment("FAULTLINE_SIM_SEEDS", kDefaultSeeds);
  Totals totals;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    if (!RunSeed(seed, &totals)) break;
  }
  std::printf(
      "%lu events, %lu entries committed, %lu elections, %lu restores, %lu experiments ended, %lu "
      "of "
      "%lu calls answered\n",
      totals.events, totals.committed, totals.elections, totals.restores, totals.finished,
      totals.answered, totals.calls);
  // The runs did what they are for.
  if (count >= 100 && !HasFailure()) {
    EXPECT_GT(totals.committed, 50 * count);
    EXPECT_GT(totals.elections, count);
    EXPECT_GT(totals.restores, count / 10);
    EXPECT_GT(totals.finished, 5 * count);
    EXPECT_GT(2 * totals.answered, totals.calls);
  }
}

TEST(SimulatedSystem, RepeatsARunExactlyFromItsSeed) {
  SilenceLog();
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    uint64_t digest[2];
    for (uint64_t& each : digest) {
      Cluster cluster({.seed = seed});
      cluster.Run();
      each = cluster.world().digest();
    }
    EXPECT_EQ(digest[0], digest[1]) << seed;
  }
}

}  // namespace
}  // namespace faultline::sim
