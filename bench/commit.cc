// How fast commands are committed, beside etcd.
//
// Ours: three faultline-controller processes; one write is a StartExperiment (NETWORK_LATENCY on
// one target of a connected agent, another target each time), answered after it is synced by a
// majority and applied. The agents read nothing meanwhile: how fast a kernel is armed is
// start_to_kernel's subject. Between windows everything is stopped and the agents report, outside
// the measured time. etcd: three members with its defaults; one write is a Put of as many bytes as
// our stored command. Both: fsync on the same disk, the same load generator, every client on a
// connection of its own to the leader, windows of both alternated, medians of the windows.
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "etcd_cluster.h"
#include "loaded_cluster.h"
#include "report.h"
#include "tests/cluster/process.h"
#include "writers.h"

namespace faultline::bench {
namespace {

constexpr int kClientCounts[] = {1, 64, 256};
constexpr int kTargets = 12'000;

struct Settings {
  int windows = 5;
  int single_writes = 1'000;
  int many_writes = 8'000;
  bool plain = true;
  bool tls = true;
  int only_clients = 0;
};

// Of one side, window by window.
struct Figures {
  std::vector<double> writes_per_s, p50_ms, p99_ms, cpu_us;
};

// Measures one window of the side whose three processes have used `cpu_seconds()`. Result: in
// words.
template <typename CpuSeconds>
StatusOr<std::string> Window(const std::vector<std::unique_ptr<LoadClient>>& clients,
                             const Settings& settings, CpuSeconds cpu_seconds, Figures* figures) {
  for (const auto& client : clients) FL_RETURN_IF_ERROR(client->Prepare());
  const int writes = clients.size() == 1 ? settings.single_writes : settings.many_writes;
  // The first calls of a connection cost more.
  FL_RETURN_IF_ERROR(RunLoad(clients, static_cast<int>(clients.size()) * 4).status());
  const double cpu_before = cpu_seconds() + CpuSecondsOf(getpid());
  FL_ASSIGN_OR_RETURN(const LoadResult result, RunLoad(clients, writes));
  const double cpu_s = cpu_seconds() + CpuSecondsOf(getpid()) - cpu_before;
  figures->writes_per_s.push_back(result.writes_per_s);
  figures->p50_ms.push_back(result.p50_ms);
  figures->p99_ms.push_back(result.p99_ms);
  figures->cpu_us.push_back(cpu_s * 1e6 / writes);
  return fmt::format("{:.0f} writes/s, p99 {:.2f} ms, {:.0f} us of CPU a write",
                     result.writes_per_s, result.p99_ms, figures->cpu_us.back());
}

void Tell(Report& report, int count, const std::string& suffix, const Figures& ours,
          const Figures& theirs) {
  const auto median = [](const std::vector<double>& values) { return Percentile(values, 50); };
  const auto name = [&](const char* what) { return fmt::format("{}_{}{}", what, count, suffix); };
  const auto beside = [&](const char* what, const char* unit,
                          std::vector<double> Figures::* figure) {
    report.Beside(name(what), median(ours.*figure), unit, "etcd", median(theirs.*figure));
  };
  beside("writes_per_s", "1/s", &Figures::writes_per_s);
  beside("p50_ms", "ms", &Figures::p50_ms);
  beside("p99_ms", "ms", &Figures::p99_ms);
  // Of the three processes and the clients.
  beside("cpu_us_per_write", "us", &Figures::cpu_us);
  report.AtLeast(name("ratio"), median(ours.writes_per_s) / median(theirs.writes_per_s), "x",
                 count == 1 ? 1.3 : 2);
  if (count == 64) {
    report.AtMost(name("p99_ratio"), median(ours.p99_ms) / median(theirs.p99_ms), "x", 0.5);
  }
}

Status Measure(Report& report, const Settings& settings, const rpc::TlsFiles& tls,
               const std::string& suffix) {
  LoadedCluster ours(tls, kTargets);
  FL_RETURN_IF_ERROR(ours.Ready());
  EtcdCluster etcd({.tls = tls});
  const int leader = etcd.WaitForLeader();
  if (leader < 0) return MakeError(StatusCode::kUnavailable, "etcd finds no leader");
  for (const int count : kClientCounts) {
    if (settings.only_clients != 0 && count != settings.only_clients) continue;
    Figures of_ours, of_etcd;
    for (int i = 0; i < settings.windows; ++i) {
      FL_ASSIGN_OR_RETURN(
          const auto mine,
          Window(ours.Clients(count), settings, [&] { return ours.CpuSeconds(); }, &of_ours));
      FL_RETURN_IF_ERROR(ours.CleanUp());
      FL_ASSIGN_OR_RETURN(const auto theirs,
                          Window(
                              PutClients(count, etcd.address(leader), tls), settings,
                              [&] { return etcd.CpuSeconds(); }, &of_etcd));
      std::fprintf(stderr, "commit%s: %d clients: %s; etcd %s\n", suffix.c_str(), count,
                   mine.c_str(), theirs.c_str());
    }
    Tell(report, count, suffix, of_ours, of_etcd);
  }
  return absl::OkStatus();
}

int Run(const Settings& settings) {
  Report report("commit");
  report.AtMost("stored_command_bytes", static_cast<double>(StoredCommandBytes()), "bytes",
                std::nullopt);
  const cluster::TempDir folder;
  Status status;
  if (settings.plain) status = Measure(report, settings, {}, "");
  if (status.ok() && settings.tls) {
    const auto tls = MakeCertificates(folder.path(), "127.0.0.1");
    status = tls.ok() ? Measure(report, settings, *tls, "_tls") : tls.status();
  }
  if (!status.ok()) report.Fail(ToString(status.message()));
  return report.ExitCode();
}

}  // namespace
}  // namespace faultline::bench

int main(int argc, char** argv) {
  faultline::bench::Settings settings;
  CLI::App app("Committed commands a second, beside etcd");
  app.add_option("--windows", settings.windows, "measured windows of each side");
  app.add_option("--writes", settings.many_writes, "writes in a window of many clients");
  app.add_option("--single-writes", settings.single_writes, "writes in a window of one client");
  app.add_option("--clients", settings.only_clients, "only this number of clients: 1, 64 or 256");
  app.add_flag("--plain,!--no-plain", settings.plain, "measure without TLS");
  app.add_flag("--tls,!--no-tls", settings.tls, "measure with mutual TLS");
  CLI11_PARSE(app, argc, argv);
  return faultline::bench::Run(settings);
}
