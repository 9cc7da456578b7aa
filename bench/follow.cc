// How long after a service has been started anew (another namespace of the same name, another
// interface) its fault is back, at moments that have nothing to do with when the agent looks.
#include <unistd.h>

#include <algorithm>
#include <random>

#include "agent/local_service.h"
#include "base/clock.h"
#include "e2e/agent_system.h"
#include "report.h"

namespace faultline::bench {
namespace {

constexpr int kRestarts = 60;
constexpr uint64_t kPatienceNs = 20 * kNanosPerSecond;

// When the fault was armed last, in Unix time; 0 while it is not.
int64_t ArmedAtNs(const e2e::AgentSystem& system) {
  const auto status = agent::AskStatus(system.agent_socket());
  if (!status.ok() || status->faults_size() != 1 || !status->faults(0).armed()) return 0;
  const auto& at = status->faults(0).armed_at();
  return at.seconds() * static_cast<int64_t>(kNanosPerSecond) + at.nanos();
}

// From when the service is there again until its fault is, in milliseconds.
StatusOr<double> Restart(const e2e::NetPair& net, const e2e::AgentSystem& system) {
  net.RemoveService();
  net.MakeService();
  const int64_t there_ns = UnixNowNs();
  const uint64_t give_up_ns = MonotonicNowNs() + kPatienceNs;
  while (MonotonicNowNs() < give_up_ns) {
    const int64_t armed_ns = ArmedAtNs(system);
    // The first address comes a moment after the device, so it may be armed a moment too early.
    if (armed_ns > there_ns - static_cast<int64_t>(kNanosPerSecond)) {
      return static_cast<double>(std::max<int64_t>(armed_ns - there_ns, 0)) / 1e6;
    }
    usleep(5'000);
  }
  return MakeError(StatusCode::kDeadlineExceeded, "the fault does not come back:\n{}",
                   system.Logs());
}

Status Measure(Report& report) {
  const e2e::NetPair net;
  e2e::AgentSystem system(net);
  FL_RETURN_IF_ERROR(system.StartAgent());
  FL_RETURN_IF_ERROR(system.StartExperiment("NETWORK_LATENCY", {{"delay_ms", "1"}}));
  while (ArmedAtNs(system) == 0) usleep(5'000);
  std::mt19937_64 random(1);
  std::vector<double> back_ms;
  for (int i = 0; i < kRestarts; ++i) {
    usleep(1'500'000 + static_cast<useconds_t>(random() % 1'000'000));
    FL_ASSIGN_OR_RETURN(back_ms.emplace_back(), Restart(net, system));
  }
  std::ranges::sort(back_ms);
  report.AtMost("back_p50_ms", back_ms[back_ms.size() / 2], "ms", std::nullopt);
  report.AtMost("back_max_ms", back_ms.back(), "ms", 1'500);
  return absl::OkStatus();
}

int Run() {
  Report report("follow");
  const std::string why = e2e::WhyNotHere();
  if (!why.empty()) {
    report.Fail(why);
  } else if (const Status measured = Measure(report); !measured.ok()) {
    report.Fail(ToString(measured.message()));
  }
  return report.ExitCode();
}

}  // namespace
}  // namespace faultline::bench

int main() { return faultline::bench::Run(); }
