// How long a service stays slow after its agent is killed with -9, default leases, under traffic.
//
// From the kill to the moment from which on every packet that the service sends arrives undelayed:
// packets that are lost on the way (to a lane whose reader is dead) count as slow.
#include <signal.h>

#include <algorithm>
#include <string>

#include "base/clock.h"
#include "e2e/agent_system.h"
#include "report.h"

namespace faultline::bench {
namespace {

constexpr int kKills = 50;
constexpr unsigned kPacketsPerSecond = 2'000;
constexpr uint64_t kDelayMs = 100;
constexpr uint64_t kUndelayedNs = 50 * kNanosPerMilli;
// So long after the kill every packet must have been undelayed for a while.
constexpr uint64_t kObserveNs = 500 * kNanosPerMilli;

// Time from the kill to the sending of the first packet of the unbroken undelayed run at the end,
// in ms; negative when there is no such run. Packets of the last 100 ms may still be on their way.
double HealMs(const e2e::UdpStream& stream, uint64_t killed_ns) {
  const uint64_t until_ns = MonotonicNowNs() - 100 * kNanosPerMilli;
  double heal_ms = -1;
  for (size_t packet = stream.sent(); packet-- > 0;) {
    const uint64_t sent_ns = stream.sent_ns(packet);
    if (sent_ns > until_ns) continue;
    if (sent_ns < killed_ns || stream.delay_ns(packet) >= kUndelayedNs) break;
    heal_ms = static_cast<double>(sent_ns - killed_ns) / 1e6;
  }
  return heal_ms;
}

// One kill; result as HealMs.
StatusOr<double> KillOnce(e2e::AgentSystem& system, const e2e::UdpStream& stream) {
  // The experiment goes on: each start of the agent arms what time is left of it.
  FL_RETURN_IF_ERROR(system.StartAgent());
  if (!stream.AwaitSlow(kDelayMs - 10)) {
    return MakeError(StatusCode::kInternal, "the service does not become slow:\n{}", system.Logs());
  }
  const uint64_t killed_ns = MonotonicNowNs();
  system.agent().Signal(SIGKILL);
  while (MonotonicNowNs() < killed_ns + kObserveNs + 100 * kNanosPerMilli) {
    timespec pause{0, 10'000'000};
    nanosleep(&pause, nullptr);
  }
  system.agent().Wait();
  const double heal_ms = HealMs(stream, killed_ns);
  if (heal_ms < 0) return MakeError(StatusCode::kInternal, "the service does not heal");
  return heal_ms;
}

int Run() {
  Report report("heal_after_kill");
  if (const std::string why = e2e::WhyNotHere(); !why.empty()) {
    report.Fail(why);
    return report.ExitCode();
  }
  const e2e::NetPair net;
  e2e::AgentSystem system(net);
  const e2e::UdpStream stream(net, kPacketsPerSecond);
  Status started = system.StartAgent();
  if (started.ok()) started = system.StartExperiment("NETWORK_LATENCY", {{"delay_ms", "100"}});
  if (!started.ok()) {
    report.Fail(ToString(started.message()));
    return report.ExitCode();
  }
  std::vector<double> heals_ms;
  for (int kill = 0; kill < kKills; ++kill) {
    const auto heal_ms = KillOnce(system, stream);
    if (!heal_ms.ok()) {
      report.Fail(fmt::format("kill {}: {}", kill + 1, ToString(heal_ms.status().message())));
      return report.ExitCode();
    }
    heals_ms.push_back(*heal_ms);
  }
  std::sort(heals_ms.begin(), heals_ms.end());
  report.AtMost("p50_ms", heals_ms[heals_ms.size() / 2], "ms", std::nullopt);
  report.AtMost("max_ms", heals_ms.back(), "ms", 50);
  return report.ExitCode();
}

}  // namespace
}  // namespace faultline::bench

int main() { return faultline::bench::Run(); }
