// What an agent with two measured targets, connected and streaming metrics ten times a second, and
// a controller cost while nothing happens; and the agent's memory with as many targets as it takes.
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "agent/local_service.h"
#include "e2e/agent_system.h"
#include "report.h"

namespace faultline::bench {
namespace {

constexpr unsigned kSettleSeconds = 3;
constexpr unsigned kSeconds = 20;
// Not "%": a goal of a ratio is judged in an emulated machine too.
constexpr char kOfACore[] = "% of a core";
constexpr int kMaxTargets = 64;
constexpr int kInterfaces = 8;  // each takes the agent a tenth of a second at its start

double RssMb(pid_t pid) {
  std::ifstream statm(fmt::format("/proc/{}/statm", pid));
  uint64_t size = 0, resident = 0;
  statm >> size >> resident;
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE)) / (1 << 20);
}

// Time on a CPU of all threads that live, in ns, by the scheduler's own count.
uint64_t CpuNs(pid_t pid) {
  uint64_t total = 0;
  for (const auto& task : std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid))) {
    uint64_t ns = 0;
    std::ifstream(task.path() / "schedstat") >> ns;
    total += ns;
  }
  return total;
}

// Memory of an agent with kMaxTargets targets.
StatusOr<double> RssMbWithMostTargets(const e2e::NetPair& net, e2e::AgentSystem& system) {
  std::string targets;
  for (int i = 0; i < kInterfaces; i += 2) {
    e2e::Shell(
        fmt::format("ip -n {} link add v{} up type veth peer name v{}", net.service(), i, i + 1));
  }
  for (int i = 2; i < kMaxTargets; ++i) {
    targets += fmt::format("- name: t{}\n  interface: v{}\n  netns: {}\n  ports: [{}]\n", i,
                           i % kInterfaces, net.service(), 1'000 + i);
  }
  system.AddToAgentConfig(targets);
  FL_RETURN_IF_ERROR(system.StartAgent());
  sleep(kSettleSeconds);
  FL_ASSIGN_OR_RETURN(const auto status, agent::AskStatus(system.agent_socket()));
  if (status.problems_size() > 0 || status.agent().targets_size() != kMaxTargets) {
    return MakeError(StatusCode::kInternal, "not all of {} targets are measured: {}", kMaxTargets,
                     status.problems_size() > 0 ? status.problems(0) : "");
  }
  return RssMb(system.agent().pid());
}

int Run() {
  Report report("idle");
  if (const std::string why = e2e::WhyNotHere(); !why.empty()) {
    report.Fail(why);
    return report.ExitCode();
  }
  const e2e::NetPair net;
  e2e::AgentSystem system(net);
  if (const Status started = system.StartAgent(); !started.ok()) {
    report.Fail(ToString(started.message()));
    return report.ExitCode();
  }
  sleep(kSettleSeconds);
  const pid_t agent = system.agent().pid(), controller = system.controller().pid();
  const uint64_t agent_before = CpuNs(agent), controller_before = CpuNs(controller);
  sleep(kSeconds);
  const auto percent = [](uint64_t ns) { return static_cast<double>(ns) / kSeconds / 1e7; };
  report.AtMost("agent_rss_mb", RssMb(agent), "MiB", 40);
  report.AtMost("agent_cpu_percent", percent(CpuNs(agent) - agent_before), kOfACore, 0.5);
  report.AtMost("guardian_rss_mb", RssMb(system.GuardianPid()), "MiB", std::nullopt);
  report.AtMost("controller_rss_mb", RssMb(controller), "MiB", 100);
  report.AtMost("controller_cpu_percent", percent(CpuNs(controller) - controller_before), kOfACore,
                std::nullopt);
  if (const auto rss_mb = RssMbWithMostTargets(net, system); rss_mb.ok()) {
    report.AtMost("agent_rss_64_targets_mb", *rss_mb, "MiB", std::nullopt);
  } else {
    report.Fail(ToString(rss_mb.status().message()));
  }
  return report.ExitCode();
}

}  // namespace
}  // namespace faultline::bench

int main() { return faultline::bench::Run(); }
