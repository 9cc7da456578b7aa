// Whole systems under faults. FAULTLINE_SIM_SEEDS=n runs so many seeds, from FAULTLINE_SIM_SEED
// (default 1) on: scripts/sim.sh.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <string>

#include "base/log.h"
#include "sim/cluster.h"

namespace faultline::sim {
namespace {

constexpr uint64_t kDefaultSeeds = 2'000;

uint64_t FromEnvironment(const char* name, uint64_t fallback) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : fallback;
}

// What goes wrong and what is asked for; each must have happened, with effect, in so many seeds.
constexpr uint64_t kSeedsForAll = 500;
constexpr const char* kMustHappen[] = {
    "messages lost",
    "messages doubled",
    "messages late",
    "messages over cut links",
    "power losses",
    "restarts",
    "pauses",
    "agents killed",
    "clock steps",
    "disk errors",
    "writes to a full disk",
    "damaged disks",
    "lost nodes replaced",
    "hanging writes",
    "leaders that gave up over a hanging disk",
    "leaderships handed over",
    "members added",
    "members promoted",
    "members removed",
    "members moved",
    "changes refused",
    "removed nodes that go on",
};

struct Totals {
  uint64_t events = 0, committed = 0, elections = 0, restores = 0, finished = 0, calls = 0,
           answered = 0;
  std::map<std::string, uint64_t> counts;
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
  for (const auto& [what, count] : cluster.world().counts()) {
    totals->counts[std::string(what)] += count;
  }
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
  for (const auto& [what, times] : totals.counts) std::printf("%lu %s\n", times, what.c_str());
  // The runs did what they are for.
  if (count >= 100 && !HasFailure()) {
    EXPECT_GT(totals.committed, 50 * count);
    EXPECT_GT(totals.elections, count);
    EXPECT_GT(totals.restores, count / 10);
    EXPECT_GT(totals.finished, 5 * count);
    EXPECT_GT(2 * totals.answered, totals.calls);
  }
  if (count >= kSeedsForAll && !HasFailure()) {
    for (const char* what : kMustHappen) EXPECT_GT(totals.counts[what], 0u) << what;
  }
}

TEST(SimulatedSystem, RepeatsARunExactlyFromItsSeed) {
  SilenceLog();
  uint64_t changed = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    uint64_t digest[2];
    std::string transcript[2];
    for (const int run : {0, 1}) {
      Cluster cluster({.seed = seed});
      cluster.Run();
      digest[run] = cluster.world().digest();
      transcript[run] = cluster.world().Transcript();
      const auto added = cluster.world().counts().find("members added");
      if (added != cluster.world().counts().end()) changed += added->second;
    }
    EXPECT_EQ(digest[0], digest[1]) << seed;
    EXPECT_EQ(transcript[0], transcript[1]) << seed;
  }
  EXPECT_GT(changed, 0u) << "no run has changed the members";
}

}  // namespace
}  // namespace faultline::sim
