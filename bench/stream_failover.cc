// How long live measurements stand still when the node goes away that an agent sends them to.
//
// Three controllers on loopback, one real agent (all of it but the kernel) with a fault on, and a
// subscriber at each node that can go on at any of them. The agent's node is killed with SIGKILL,
// or stands still (SIGSTOP), as behind a cut cable; measured is the longest time in which a
// subscriber gets nothing from then on. It is back before the next round.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>

#include "base/clock.h"
#include "report.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/counting_agent.h"
#include "tests/cluster/subscriber.h"

namespace faultline::bench {
namespace {

using cluster::Cluster;
using cluster::Eventually;

// Batches, ten a second, that every subscriber gets before its agent's node goes away, and from
// then on.
constexpr uint64_t kBefore = 10, kAfter = 40;

Status AwaitMore(const cluster::Subscribers& subscribers, uint64_t batches) {
  uint64_t wanted = 0;
  for (const auto& one : subscribers) wanted = std::max(wanted, one->newest() + batches);
  const bool come = Eventually([&] {
    return std::ranges::all_of(subscribers,
                               [&](const auto& one) { return one->newest() >= wanted; });
  });
  if (come) return absl::OkStatus();
  return MakeError(StatusCode::kDeadlineExceeded, "measurements do not go on");
}

// Once every node serves.
StatusOr<int> AgentsNode(Cluster& cluster) {
  int node = -1;
  const bool all = Eventually([&] {
    for (int i = 0; i < cluster.size(); ++i) {
      const auto agents = cluster.Agents(i);
      if (!agents.ok() || agents->agents_size() != 1 || !agents->agents(0).connected())
        return false;
      node = static_cast<int>(agents->agents(0).node_id()) - 1;
    }
    return true;
  });
  if (all) return node;
  return MakeError(StatusCode::kDeadlineExceeded, "the agent is at no node");
}

// In milliseconds.
StatusOr<double> Round(Cluster& cluster, const std::string& experiment, int signal) {
  FL_ASSIGN_OR_RETURN(const int node, AgentsNode(cluster));
  const auto subscribers = cluster::SubscribeAtEach(cluster.api_addresses(), experiment);
  FL_RETURN_IF_ERROR(AwaitMore(subscribers, kBefore));
  const uint64_t gone_ns = MonotonicNowNs();
  cluster.process(node).Signal(signal);
  FL_RETURN_IF_ERROR(AwaitMore(subscribers, kAfter));
  uint64_t longest_ns = 0;
  for (const auto& one : subscribers) {
    one->End();
    longest_ns = std::max(longest_ns, cluster::LongestPauseNs(one->arrivals(), gone_ns));
  }
  if (signal == SIGSTOP) {
    cluster.process(node).Signal(SIGCONT);
  } else {
    cluster.process(node).Wait();
    cluster.Start(node);
  }
  return static_cast<double>(longest_ns) / 1e6;
}

StatusOr<double> WorstOf(Cluster& cluster, const std::string& experiment, int signal, int rounds) {
  double worst_ms = 0;
  for (int round = 0; round < rounds; ++round) {
    FL_ASSIGN_OR_RETURN(const double ms, Round(cluster, experiment, signal));
    std::fprintf(stderr, "stream_failover %s %d: %.0f ms\n",
                 signal == SIGSTOP ? "stopped" : "killed", round + 1, ms);
    worst_ms = std::max(worst_ms, ms);
  }
  return worst_ms;
}

Status Measure(Report& report, int rounds) {
  cluster::CountingAgent agent;  // first: it forks
  Cluster cluster({.nodes = 3});
  agent.Start(cluster.api_addresses());
  FL_RETURN_IF_ERROR(AgentsNode(cluster).status());
  auto request = cluster::LatencyOn("service:checkout");
  request.mutable_duration()->set_seconds(3'600);
  FL_ASSIGN_OR_RETURN(const auto started, cluster.StartExperiment(0, request));
  const std::string& id = started.experiment_id();
  if (!cluster.WaitForPhase(0, id, chaos::v1::TARGET_PHASE_ACTIVE)) {
    return MakeError(StatusCode::kUnavailable, "the experiment does not begin");
  }
  FL_ASSIGN_OR_RETURN(const double killed_ms, WorstOf(cluster, id, SIGKILL, rounds));
  FL_ASSIGN_OR_RETURN(const double stopped_ms, WorstOf(cluster, id, SIGSTOP, rounds));
  report.AtMost("rounds", rounds, "", std::nullopt);
  report.AtMost("resume_ms", killed_ms, "ms", 2'000);
  report.AtMost("resume_stopped_ms", stopped_ms, "ms", 2'000);
  return absl::OkStatus();
}

}  // namespace
}  // namespace faultline::bench

int main(int argc, char** argv) {
  int rounds = 5;
  CLI::App app("Time without measurements after their agent's node is gone");
  app.add_option("--rounds", rounds, "kills, and as often a node that stands still")
      ->check(CLI::Range(1, 1'000));
  CLI11_PARSE(app, argc, argv);
  faultline::bench::Report report("stream_failover");
  const auto status = faultline::bench::Measure(report, rounds);
  if (!status.ok()) report.Fail(faultline::ToString(status.message()));
  return report.ExitCode();
}
