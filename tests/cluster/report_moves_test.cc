// The report of an experiment whose agent's node went away in the middle: a real agent, all of it
// but the kernel.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <iterator>
#include <string_view>
#include <thread>

#include "base/measurements.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/counting_agent.h"

namespace faultline::cluster {
namespace {

// Of each of its parts something must have been measured.
constexpr std::chrono::seconds kSomeTime{2};

// Of a CountingAgent: what it has measured in these batches.
uint64_t BytesOf(uint64_t first, uint64_t last) {
  uint64_t bytes = 0;
  for (uint64_t n = first; n <= last; ++n) bytes += n;
  return bytes;
}

// An agent under an experiment, whose node gets a signal. On a busy machine it may move by itself
// as well.
class Move {
 public:
  explicit Move(int signal) : signal_(signal) {}

  // Where the agent is, as that node says; -1: nowhere.
  int NodeOfAgent(int asked) {
    const auto agents = cluster.Agents(asked);
    if (!agents.ok() || agents->agents_size() == 0 || !agents->agents(0).connected()) return -1;
    return static_cast<int>(agents->agents(0).node_id()) - 1;
  }
  // Measured before, under the fault on two nodes, and afterwards.
  void RunExperiment() {
    agent.Start(cluster.api_addresses());
    ASSERT_TRUE(Eventually([&] { return (node = NodeOfAgent(0)) >= 0; }));
    other = (node + 1) % cluster.size();
    std::this_thread::sleep_for(kSomeTime);
    StatusOr<chaos::v1::Experiment> started;
    ASSERT_TRUE(Eventually([&] {
      return (started = cluster.StartExperiment(node, LatencyOn("service:checkout"))).ok();
    })) << started.status();
    id = started->experiment_id();
    ASSERT_TRUE(cluster.WaitForPhase(node, id, chaos::v1::TARGET_PHASE_ACTIVE));
    std::this_thread::sleep_for(kSomeTime);
    moved_early_ = NodeOfAgent(other) != node;
    cluster.process(node).Signal(signal_);
    ASSERT_TRUE(Eventually([&] {
      const int now = NodeOfAgent(other);
      return now >= 0 && now != node;
    }));
    if (signal_ == SIGSTOP) cluster.process(node).Signal(SIGCONT);
    std::this_thread::sleep_for(kSomeTime);
    ASSERT_TRUE(cluster.Stop(other, id, 30).ok());
  }
  // Whether it has had a stream to its node until the signal, and one to another since.
  bool MovedOnce() {
    constexpr std::string_view kLine = "agent 'host' has connected";
    int streams = 0;
    for (int i = 0; i < cluster.size(); ++i) {
      const std::string log = cluster.process(i).log();
      for (size_t at = log.find(kLine); at != std::string::npos; at = log.find(kLine, at + 1)) {
        ++streams;
      }
    }
    return streams == 2 && !moved_early_;
  }
  // Waits until so many nodes have told their parts, and something was measured afterwards.
  void GetReport(int nodes) {
    StatusOr<chaos::v1::Report> report;
    ASSERT_TRUE(Eventually([&] {
      report = cluster.GetReport(other, id);
      const bool whole = report.ok() && report->targets_size() == 1 &&
                         report->targets(0).node_ids_size() == nodes &&
                         report->targets(0).after().packets() > 0;
      return whole || !MovedOnce();
    })) << report.status();
    if (report.ok() && report->targets_size() == 1) target = report->targets(0);
  }

  CountingAgent agent;  // first: it forks
  Cluster cluster{{.nodes = 3}};
  int node = 0, other = 0;  // the agent's, and one that it may go to
  std::string id;
  chaos::v1::TargetReport target;

 private:
  const int signal_;
  bool moved_early_ = false;
};

class ReportOfAMove : public ::testing::TestWithParam<int> {};

TEST_P(ReportOfAMove, HasWhatWasBeforeOnceAndShowsWhatIsMissing) {
  const bool dies = GetParam() == SIGKILL;
  chaos::v1::TargetReport target;
  bool moved_once = false;
  for (int runs = 0; runs < 5 && !moved_once; ++runs) {
    Move move(GetParam());
    ASSERT_NO_FATAL_FAILURE(move.RunExperiment());
    ASSERT_NO_FATAL_FAILURE(move.GetReport(dies ? 1 : 2));
    moved_once = move.MovedOnce();
    target = move.target;
  }
  ASSERT_TRUE(moved_once) << "the agent has moved by itself each time";
  ASSERT_EQ(target.ranges_size(), 1);
  const auto& range = target.ranges(0);
  const uint64_t before = target.before().packets();
  EXPECT_GT(before, 0u);
  EXPECT_EQ(target.before().bytes(), BytesOf(range.first() - before, range.first() - 1));
  EXPECT_LT(target.before_age_ms(), 1'000u);
  EXPECT_GT(target.during().packets(), 0u);
  EXPECT_EQ(target.during().packets() + target.after().packets(), target.batches());
  EXPECT_EQ(target.batches() + target.missing_batches(), range.last() - range.first() + 1);
  if (!dies) return;
  EXPECT_GT(target.missing_batches(), 0u);
  const auto& points = target.points();
  const auto during = std::find_if(points.begin(), points.end(), [](const auto& point) {
    return point.phase() == chaos::v1::REPORT_PHASE_DURING;
  });
  ASSERT_TRUE(during != points.begin() && during != points.end());
  EXPECT_GT(GapMs(*std::prev(during), *during), 0u);
}

INSTANTIATE_TEST_SUITE_P(Which, ReportOfAMove, ::testing::Values(SIGKILL, SIGSTOP),
                         [](const auto& test) {
                           return test.param == SIGKILL ? "NodeDies" : "NodeStandsStill";
                         });

}  // namespace
}  // namespace faultline::cluster
