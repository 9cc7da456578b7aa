// How long a service stays slow after its agent is killed with -9 or stopped, default leases, under
// traffic; and whether a lease ever runs out by itself while every core is busy.
//
// From the signal to the moment from which on every packet that the service sends arrives
// undelayed: packets that are lost on the way (to a lane whose reader is dead) count as slow.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>
#include <thread>

#include "agent/config.h"
#include "base/clock.h"
#include "e2e/agent_system.h"
#include "report.h"

namespace faultline::bench {
namespace {

struct Settings {
  int kills = 200;
  int stops = 50;
  double soak_minutes = 10;
};

constexpr unsigned kPacketsPerSecond = 2'000;
constexpr uint64_t kDelayMs = 100;
constexpr uint64_t kUndelayedNs = 50 * kNanosPerMilli;
// So long after the signal every packet must have been undelayed for a while.
constexpr uint64_t kObserveNs = 500 * kNanosPerMilli;

// Time from the signal to the sending of the first packet of the unbroken undelayed run at the end,
// in ms; negative when there is no such run. Packets of the last 100 ms may still be on their way.
double HealMs(const e2e::UdpStream& stream, uint64_t signalled_ns) {
  const uint64_t until_ns = MonotonicNowNs() - 100 * kNanosPerMilli;
  double heal_ms = -1;
  for (size_t packet = stream.sent(); packet-- > 0;) {
    const uint64_t sent_ns = stream.sent_ns(packet);
    if (sent_ns > until_ns) continue;
    if (sent_ns < signalled_ns || stream.delay_ns(packet) >= kUndelayedNs) break;
    heal_ms = static_cast<double>(sent_ns - signalled_ns) / 1e6;
  }
  return heal_ms;
}

// Sends the agent that signal and observes; result as HealMs.
StatusOr<double> Signal(e2e::AgentSystem& system, const e2e::UdpStream& stream, int signal) {
  if (!stream.AwaitSlow(kDelayMs - 10)) {
    return MakeError(StatusCode::kInternal, "the service does not become slow:\n{}", system.Logs());
  }
  const uint64_t signalled_ns = MonotonicNowNs();
  system.agent().Signal(signal);
  std::this_thread::sleep_for(std::chrono::nanoseconds(kObserveNs + 100 * kNanosPerMilli));
  const double heal_ms = HealMs(stream, signalled_ns);
  if (heal_ms < 0) return MakeError(StatusCode::kInternal, "the service does not heal");
  return heal_ms;
}

StatusOr<std::vector<double>> Kill(e2e::AgentSystem& system, const e2e::UdpStream& stream,
                                   int times) {
  std::vector<double> heals_ms;
  for (int i = 0; i < times; ++i) {
    FL_ASSIGN_OR_RETURN(heals_ms.emplace_back(), Signal(system, stream, SIGKILL));
    system.agent().Wait();
    // The experiment goes on: each start of the agent arms what time is left of it.
    FL_RETURN_IF_ERROR(system.StartAgent());
  }
  return heals_ms;
}

StatusOr<std::vector<double>> Stop(e2e::AgentSystem& system, const e2e::UdpStream& stream,
                                   int times) {
  std::vector<double> heals_ms;
  for (int i = 0; i < times; ++i) {
    FL_ASSIGN_OR_RETURN(heals_ms.emplace_back(), Signal(system, stream, SIGSTOP));
    system.agent().Signal(SIGCONT);
  }
  return heals_ms;
}

// Keeps every core busy, with two threads for each, until the object goes.
class BusyCores {
 public:
  BusyCores() {
    for (unsigned i = 0; i < 2 * std::thread::hardware_concurrency(); ++i) {
      threads_.emplace_back([](const std::stop_token& over) {
        while (!over.stop_requested()) {
        }
      });
    }
  }

 private:
  std::vector<std::jthread> threads_;
};

// Packets that met a lease that had run out, among all that matched meanwhile.
StatusOr<std::pair<double, double>> Soak(e2e::AgentSystem& system, const e2e::UdpStream& stream,
                                         double minutes) {
  if (!stream.AwaitSlow(kDelayMs - 10)) {
    return MakeError(StatusCode::kInternal, "the service does not become slow:\n{}", system.Logs());
  }
  FL_ASSIGN_OR_RETURN(const auto before, system.Counters());
  {
    const BusyCores busy;
    std::this_thread::sleep_for(std::chrono::duration<double, std::ratio<60>>(minutes));
  }
  FL_ASSIGN_OR_RETURN(const auto after, system.Counters());
  return std::pair(static_cast<double>(after.lease_expired() - before.lease_expired()),
                   static_cast<double>(after.matched() - before.matched()));
}

Status Measure(const Settings& settings, Report& report) {
  if (const std::string why = e2e::WhyNotHere(); !why.empty()) {
    return MakeError(StatusCode::kFailedPrecondition, "{}", why);
  }
  const e2e::NetPair net;
  e2e::AgentSystem system(net);
  FL_RETURN_IF_ERROR(system.StartAgent());
  FL_RETURN_IF_ERROR(system.StartExperiment("NETWORK_LATENCY", {{"delay_ms", "100"}}));
  {
    const e2e::UdpStream stream(net, kPacketsPerSecond);
    FL_ASSIGN_OR_RETURN(const auto killed, Kill(system, stream, settings.kills));
    report.AtMost("p50_ms", Percentile(killed, 50), "ms", 20);
    report.AtMost("max_ms", Percentile(killed, 100), "ms", 50);
    FL_ASSIGN_OR_RETURN(const auto stopped, Stop(system, stream, settings.stops));
    const auto lease_ms = static_cast<double>(agent::Config().heartbeat_ns / kNanosPerMilli);
    report.AtMost("stop_p50_ms", Percentile(stopped, 50), "ms", std::nullopt);
    report.AtMost("stop_max_ms", Percentile(stopped, 100), "ms", lease_ms + 20);
  }
  const e2e::UdpStream stream(net, kPacketsPerSecond);
  FL_ASSIGN_OR_RETURN(const auto soak, Soak(system, stream, settings.soak_minutes));
  report.AtLeast("soak_packets", soak.second, "packets", 1);
  report.AtMost("false_expiries", soak.first, "packets", 0);
  return absl::OkStatus();
}

int Run(const Settings& settings) {
  Report report("heal");
  if (const Status status = Measure(settings, report); !status.ok()) {
    report.Fail(ToString(status.message()));
  }
  return report.ExitCode();
}

}  // namespace
}  // namespace faultline::bench

int main(int argc, char** argv) {
  faultline::bench::Settings settings;
  CLI::App app("How quickly a service is healthy again without its agent");
  app.add_option("--kills", settings.kills, "how often the agent is killed");
  app.add_option("--stops", settings.stops, "how often it is stopped");
  app.add_option("--soak-minutes", settings.soak_minutes, "how long every core is kept busy");
  CLI11_PARSE(app, argc, argv);
  return faultline::bench::Run(settings);
}
