// Two thousand agents on three controllers: real sessions, each over a connection of its own, with
// a lease and a batch of measurements a second; one subscriber reads everything from one of the
// nodes.
//
// kb_per_session: memory that the three controllers have come to hold since they were idle, by
// sessions: connection, state on every node, window and history of measurements. lost_updates:
// batches that the agents sent and that no update stands for. Progress on standard error.
#include <CLI/CLI.hpp>

#include "base/clock.h"
#include "load.h"
#include "loaded_cluster.h"
#include "metric_agents.h"
#include "report.h"
#include "subscribers.h"
#include "tests/cluster/cluster.h"

namespace faultline::bench {
namespace {

using cluster::Cluster;

constexpr int kNodes = 3;
constexpr uint64_t kPatienceNs = 120 * kNanosPerSecond;

struct Settings {
  int agents = 2'000;
  int seconds = 30;
};

template <typename Figure>
double OfAll(Cluster& cluster, Figure figure) {
  double sum = 0;
  for (int node = 0; node < cluster.size(); ++node) sum += figure(cluster.process(node).pid());
  return sum;
}

bool Within(uint64_t patience_ns, const std::function<bool()>& condition) {
  const uint64_t end_ns = MonotonicNowNs() + patience_ns;
  while (MonotonicNowNs() < end_ns) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return condition();
}

// Batches sent that no update stands for.
uint64_t Lost(const MetricAgents& agents, const std::map<std::string, Subscribers::Seen>& seen) {
  uint64_t lost = 0;
  for (int agent = 0; agent < agents.size(); ++agent) {
    const auto found = seen.find(MetricAgents::AgentId(agent));
    const uint64_t batches = found == seen.end() ? 0 : found->second.batches;
    lost += agents.sent(agent) - std::min(agents.sent(agent), batches);
  }
  return lost;
}

Status Measure(Report& report, const Settings& settings) {
  Cluster cluster({.nodes = kNodes});
  FL_RETURN_IF_ERROR(WaitForLeases(cluster));
  const double idle_bytes = OfAll(cluster, ResidentBytesOf);
  const uint64_t begin_ns = MonotonicNowNs();
  MetricAgents agents(settings.agents, 1, cluster.api_addresses(), {});
  if (!Within(kPatienceNs, [&] { return agents.ready() == settings.agents; })) {
    return MakeError(StatusCode::kUnavailable, "{} of {} agents hold a lease", agents.ready(),
                     settings.agents);
  }
  std::fprintf(stderr, "agents: all have a lease after %.1f s\n",
               static_cast<double>(MonotonicNowNs() - begin_ns) / 1e9);
  chaos::v1::SubscribeToMetricsRequest request;
  request.set_target("service:checkout");
  const Subscribers subscriber(1, request, {cluster.api_address(0)}, {});
  std::this_thread::sleep_for(std::chrono::seconds(2));
  agents.Measure(true);
  const double cpu_s = OfAll(cluster, CpuSecondsOf);
  std::this_thread::sleep_for(std::chrono::seconds(settings.seconds));
  const double cores = (OfAll(cluster, CpuSecondsOf) - cpu_s) / settings.seconds;
  agents.Measure(false);
  const double held_bytes = OfAll(cluster, ResidentBytesOf) - idle_bytes;
  Within(5 * kNanosPerSecond, [&] { return Lost(agents, subscriber.seen()) == 0; });
  const auto seen = subscriber.seen();
  uint64_t sent = 0, missed = 0;
  for (int agent = 0; agent < agents.size(); ++agent) sent += agents.sent(agent);
  for (const auto& [id, one] : seen) missed += one.missed;
  if (agents.broken() > 0) {
    return MakeError(StatusCode::kUnavailable, "{} sessions have ended", agents.broken());
  }
  std::fprintf(stderr, "agents: %lu batches seen as missing\n", missed);
  report.AtMost("kb_per_session", held_bytes / 1e3 / settings.agents, "kB", 100);
  report.AtMost("lost_updates", static_cast<double>(Lost(agents, seen)), "", 0);
  report.AtMost("batches", static_cast<double>(sent), "", std::nullopt);
  report.AtMost("cores", cores, "cores", std::nullopt);
  report.AtMost("p99_ms", subscriber.received().age.PercentileNs(99) / 1e6, "ms", std::nullopt);
  return absl::OkStatus();
}

}  // namespace
}  // namespace faultline::bench

int main(int argc, char** argv) {
  faultline::bench::Settings settings;
  CLI::App app("Thousands of agents that measure");
  app.add_option("--agents", settings.agents, "agents, over three nodes");
  app.add_option("--seconds", settings.seconds, "how long they measure");
  CLI11_PARSE(app, argc, argv);
  faultline::bench::Report report("agents");
  const auto status = faultline::bench::Measure(report, settings);
  if (!status.ok()) report.Fail(faultline::ToString(status.message()));
  return report.ExitCode();
}
