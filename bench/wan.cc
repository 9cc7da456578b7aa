// Three sites with 75 ms each way between any two, default settings, beside etcd with its own
// defaults in the same sites.
//
// Simulated: the node's driver over a virtual clock, an hour, ten commands a second, delays that
// vary by a tenth. Real: three controllers over mutual TLS in network namespaces, their packets
// held by Faultline's own delay lane, ten minutes (--minutes). Both count how often a node stands
// for election although nothing fails, pre-votes too, once a leader has committed something.
//
// commit_p50_rtts: a client beside the leader writes one command after the other, windows of ours
// and of etcd alternated; the median, in round trips between sites. etcd_elections: by how much
// etcd's term rose.
#include <CLI/CLI.hpp>
#include <cmath>
#include <filesystem>
#include <future>
#include <random>

#include "base/clock.h"
#include "etcd_cluster.h"
#include "far_sites.h"
#include "raft/test_group.h"
#include "report.h"
#include "writers.h"

namespace faultline::bench {
namespace {

namespace fs = std::filesystem;

constexpr int kSites = 3;
constexpr double kOneWayMs = 75;
constexpr int kWindowSeconds = 15;
constexpr uint64_t kPatienceNs = 60 * kNanosPerSecond;

struct Settings {
  double minutes = 10;
  double simulated_hours = 1;
  // The child that writes:
  std::string write_to;  // address
  bool write_to_etcd = false;
  std::string tls_dir;
};

// One client in a process of its own, inside the leader's site. Prints a latency in ms, or
// "failed", for each write.
int WriteForAWindow(const Settings& settings) {
  const std::string& dir = settings.tls_dir;
  const rpc::TlsFiles tls{dir + "/ca.pem", dir + "/node.pem", dir + "/node.key"};
  const auto client = settings.write_to_etcd
                          ? std::move(PutClients(1, settings.write_to, tls).front())
                          : StopClient(settings.write_to, tls);
  if (const Status ready = client->Prepare(); !ready.ok()) {
    std::fprintf(stderr, "%s\n", ToString(ready.message()).c_str());
    return 1;
  }
  const uint64_t end_ns = MonotonicNowNs() + kWindowSeconds * kNanosPerSecond;
  while (MonotonicNowNs() < end_ns) {
    std::promise<Status> answered;
    const uint64_t sent_ns = MonotonicNowNs();
    client->Write([&](const Status& status) { answered.set_value(status); });
    if (answered.get_future().get().ok()) {
      std::printf("%.3f\n", static_cast<double>(MonotonicNowNs() - sent_ns) / 1e6);
    } else {
      std::printf("failed\n");
    }
  }
  return 0;
}

// Latencies, and how many writes failed.
struct Writes {
  std::vector<double> ms;
  int failed = 0;
};

Status RunWriter(const cluster::Sites& sites, int site, const std::string& address, bool etcd,
                 Writes* writes) {
  const cluster::TempDir folder;
  std::vector<std::string> command = {"/usr/bin/nsenter",
                                      "--net=/run/netns/" + sites.netns(site),
                                      fs::read_symlink("/proc/self/exe"),
                                      "--write-to",
                                      address,
                                      "--tls-dir",
                                      fs::path(sites.tls().ca_file).parent_path()};
  if (etcd) command.push_back("--write-to-etcd");
  cluster::Process writer(command, folder.path() + "/log");
  const int result = writer.Wait();
  std::istringstream lines(writer.log());
  for (std::string line; std::getline(lines, line);) {
    if (line == "failed") {
      ++writes->failed;
    } else {
      writes->ms.push_back(std::strtod(line.c_str(), nullptr));
    }
  }
  if (result == 0) return absl::OkStatus();
  return MakeError(StatusCode::kUnavailable, "a client of {} ended with {}: {}", address, result,
                   writer.log());
}

double Simulate(double hours) {
  raft::TestGroup group(kSites, static_cast<uint64_t>(kOneWayMs * 1'000));
  if (group.WaitForLeader() == 0 || !group.Propose(group.Leader(), "first").ok()) return NAN;
  std::mt19937_64 random(1);
  std::array<bool, kSites + 1> stands{};
  double elections = 0;
  const auto count = [&] {
    for (uint64_t id = 1; id <= kSites; ++id) {
      const bool now = group.driver(id).core_status().role == raft::Role::kCandidate;
      if (now && !stands[id]) ++elections;
      stands[id] = now;
    }
    return false;
  };
  const uint64_t end_ms = group.now_ms() + static_cast<uint64_t>(hours * 3'600'000);
  while (group.now_ms() < end_ms) {
    for (uint64_t from = 1; from <= kSites; ++from) {
      for (uint64_t to = 1; to <= kSites; ++to) {
        group.SetDelay(from, to,
                       static_cast<uint64_t>(kOneWayMs * 900) +
                           random() % static_cast<uint64_t>(kOneWayMs * 200));
      }
    }
    if (group.Leader() != 0) group.Submit(group.Leader(), "x");
    group.RunFor(100, count);
  }
  return elections;
}

Status MeasureReal(Report& report, const Settings& settings) {
  FL_ASSIGN_OR_RETURN(const auto far, FarSites::Make(kSites, kOneWayMs));
  cluster::Sites& sites = far->sites();
  FL_ASSIGN_OR_RETURN(const double round_trip_ms, far->RoundTripMs());
  const uint64_t started_ns = MonotonicNowNs();
  for (int site = 1; site <= kSites; ++site) sites.Start(site);
  FL_RETURN_IF_ERROR(far->WaitForFirstWrite(kPatienceNs));
  report.AtMost("first_write_s", static_cast<double>(MonotonicNowNs() - started_ns) / 1e9, "s",
                std::nullopt);
  EtcdCluster etcd({.tls = sites.tls(), .places = far->Places()});
  if (etcd.WaitForLeader() < 0) return MakeError(StatusCode::kUnavailable, "etcd has no leader");
  const int elections_before = far->Elections();
  const uint64_t etcd_term = etcd.Term();
  Writes ours, theirs;
  const uint64_t end_ns = MonotonicNowNs() + static_cast<uint64_t>(settings.minutes * 60e9);
  while (MonotonicNowNs() < end_ns) {
    const int leader = far->Leader();
    FL_RETURN_IF_ERROR(RunWriter(sites, leader, sites.api_address(leader), false, &ours));
    const int other = etcd.WaitForLeader();
    FL_RETURN_IF_ERROR(RunWriter(sites, other + 1, etcd.address(other), true, &theirs));
    std::fprintf(stderr, "wan: %d elections; p50 %.1f (etcd %.1f) ms\n",
                 far->Elections() - elections_before, Percentile(ours.ms, 50),
                 Percentile(theirs.ms, 50));
  }
  report.AtMost("minutes", settings.minutes, "min", std::nullopt);
  report.AtMost("round_trip_ms", round_trip_ms, "ms", std::nullopt);
  report.Beside("commit_p50_ms", Percentile(ours.ms, 50), "ms", "etcd", Percentile(theirs.ms, 50));
  report.Beside("commit_p99_ms", Percentile(ours.ms, 99), "ms", "etcd", Percentile(theirs.ms, 99));
  report.Beside("writes_failed", ours.failed, "", "etcd", theirs.failed);
  report.AtMost("etcd_elections", static_cast<double>(etcd.Term() - etcd_term), "", std::nullopt);
  report.AtMost("commit_p50_rtts", Percentile(ours.ms, 50) / (2 * kOneWayMs), "x", 1.3);
  report.AtMost("spurious_elections", far->Elections() - elections_before, "", 0);
  return absl::OkStatus();
}

}  // namespace
}  // namespace faultline::bench

int main(int argc, char** argv) {
  faultline::bench::Settings settings;
  CLI::App app("Three sites 75 ms apart with default settings, beside etcd");
  app.add_option("--minutes", settings.minutes, "how long real nodes run; 0: not at all");
  app.add_option("--hours", settings.simulated_hours, "how long simulated ones do; 0: not at all");
  app.add_option("--write-to", settings.write_to)->group("");
  app.add_flag("--write-to-etcd", settings.write_to_etcd)->group("");
  app.add_option("--tls-dir", settings.tls_dir)->group("");
  CLI11_PARSE(app, argc, argv);
  if (!settings.write_to.empty()) return faultline::bench::WriteForAWindow(settings);
  faultline::bench::Report report("wan");
  if (settings.simulated_hours > 0) {
    report.AtMost("simulated_hours", settings.simulated_hours, "h", std::nullopt);
    report.AtMost("spurious_elections_simulated",
                  faultline::bench::Simulate(settings.simulated_hours), "", 0);
  }
  if (settings.minutes > 0) {
    const auto status = faultline::bench::MeasureReal(report, settings);
    if (!status.ok()) report.Fail(faultline::ToString(status.message()));
  }
  return report.ExitCode();
}
