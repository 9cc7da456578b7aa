// Whether a write costs more when much is stored: three controllers with 100,000 experiments beside
// three with 1,000, started anew for each window so that theirs stay few; windows of both
// alternate. One write is a StartExperiment of one of 64 clients, as in `commit`; what is stored
// are running experiments. A window is long enough that snapshots of the large state are part of
// it.
//
// write_cost_ratio: wall time a write, the large state's by the small one's, medians of the
// windows.
#include <CLI/CLI.hpp>
#include <numeric>

#include "loaded_cluster.h"
#include "report.h"

namespace faultline::bench {
namespace {

constexpr int kClients = 64;

struct Settings {
  int windows = 4;
  int writes = 15'000;
  int many = 100'000;
  int few = 1'000;
};

// Of one side, window by window.
struct Figures {
  std::vector<double> write_us, cpu_us, p99_ms;
};

double Mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

Status Window(LoadedCluster& cluster, int writes, Figures* figures) {
  const auto clients = cluster.Clients(kClients, /*again=*/false);
  for (const auto& client : clients) FL_RETURN_IF_ERROR(client->Prepare());
  FL_RETURN_IF_ERROR(RunLoad(clients, kClients * 4).status());
  const double cpu_s = cluster.CpuSeconds();
  FL_ASSIGN_OR_RETURN(const LoadResult result, RunLoad(clients, writes));
  figures->write_us.push_back(1e6 / result.writes_per_s);
  figures->cpu_us.push_back((cluster.CpuSeconds() - cpu_s) * 1e6 / writes);
  figures->p99_ms.push_back(result.p99_ms);
  return absl::OkStatus();
}

Status Fill(LoadedCluster& cluster, int experiments) {
  FL_RETURN_IF_ERROR(cluster.Ready());
  const auto clients = cluster.Clients(kClients);
  for (const auto& client : clients) FL_RETURN_IF_ERROR(client->Prepare());
  return RunLoad(clients, experiments).status();
}

// The same number in both kinds of cluster: only what is stored differs.
int Targets(const Settings& settings) {
  return settings.many + settings.windows * (settings.writes + kClients * 8);
}

// A fresh cluster with few experiments, for one window.
Status MeasureSmall(const Settings& settings, Figures* figures) {
  LoadedCluster small({}, Targets(settings));
  FL_RETURN_IF_ERROR(Fill(small, settings.few));
  return Window(small, settings.writes, figures);
}

Status Measure(Report& report, const Settings& settings) {
  Figures of_large, of_small;
  FL_RETURN_IF_ERROR(MeasureSmall(settings, &of_small));
  LoadedCluster large({}, Targets(settings));
  FL_RETURN_IF_ERROR(Fill(large, settings.many));
  for (int i = 0; i < settings.windows; ++i) {
    FL_RETURN_IF_ERROR(Window(large, settings.writes, &of_large));
    std::fprintf(stderr, "growth: %.0f us a write\n", of_large.write_us.back());
  }
  FL_RETURN_IF_ERROR(MeasureSmall(settings, &of_small));
  const std::string peer = fmt::format("{} stored", settings.few);
  const auto beside = [&](const char* name, const char* unit,
                          std::vector<double> Figures::* figure) {
    report.Beside(name, Mean(of_large.*figure), unit, peer, Mean(of_small.*figure));
  };
  beside("write_us", "us", &Figures::write_us);
  beside("cpu_us", "us", &Figures::cpu_us);
  beside("p99_ms", "ms", &Figures::p99_ms);
  report.AtMost("write_cost_ratio", Mean(of_large.write_us) / Mean(of_small.write_us), "x", 1.2);
  return absl::OkStatus();
}

}  // namespace
}  // namespace faultline::bench

int main(int argc, char** argv) {
  faultline::bench::Settings settings;
  CLI::App app("What a write costs with many experiments stored");
  app.add_option("--windows", settings.windows, "measured windows of the large state");
  app.add_option("--writes", settings.writes, "writes in a window");
  app.add_option("--many", settings.many, "experiments in the large state");
  app.add_option("--few", settings.few, "experiments in the small state");
  CLI11_PARSE(app, argc, argv);
  faultline::bench::Report report("growth");
  const auto status = faultline::bench::Measure(report, settings);
  if (!status.ok()) report.Fail(faultline::ToString(status.message()));
  return report.ExitCode();
}
