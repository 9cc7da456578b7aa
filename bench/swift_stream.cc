// A thousand updates a second, from a controller to a view model of ChaosKit, for 30 s; and the
// same stream taken by the C++ client. The agent is played by this program: 50 targets, 20 batches
// a second. The Swift program runs in the system of scripts/test-swift.sh.
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <thread>

#include "base/clock.h"
#include "bench/report.h"
#include "client/client.h"
#include "tests/cluster/cluster.h"
#include "tests/swift/flood.h"

namespace faultline {
namespace {

constexpr int kTargets = 50;
constexpr double kHz = 20;
constexpr double kSubscribedHz = 50;
constexpr double kSeconds = 30;
constexpr double kWarmUpSeconds = 5;

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Memory of this process that stands in no file.
double AnonymousBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    double kib = 0;
    if (word == "RssAnon:" && status >> kib) return kib * 1024;
  }
  return 0;
}

std::unique_ptr<client::Client> Connect(const std::string& addresses) {
  client::Options options;
  options.addresses = addresses;
  auto made = client::Client::Create(options);
  return made.ok() ? std::move(*made) : nullptr;
}

// What clients/macos/Sources/swift_stream does, with the C++ client; prints the same line.
int RunPeer(const std::string& addresses, const std::string& experiment, double seconds) {
  const auto client = Connect(addresses);
  chaos::v1::SubscribeToMetricsRequest request;
  request.add_experiment_ids(experiment);
  request.set_rate_hz(kSubscribedHz);
  const auto stream = client->SubscribeToMetrics(request);
  std::map<std::string, uint64_t> newest;
  uint64_t updates = 0, merged = 0, missed = 0, uncounted = 0;
  const uint64_t warm_ns = MonotonicNowNs() + static_cast<uint64_t>(kWarmUpSeconds * 1e9);
  uint64_t begun_ns = 0;
  double cpu = 0, heap = 0;
  while (begun_ns == 0 || MonotonicNowNs() < begun_ns + static_cast<uint64_t>(seconds * 1e9)) {
    const auto update = stream->Next();
    if (!update.ok()) return 1;
    if (begun_ns == 0 && MonotonicNowNs() >= warm_ns) {
      begun_ns = MonotonicNowNs();
      cpu = CpuSeconds();
      heap = AnonymousBytes();
      updates = merged = missed = uncounted = 0;
    }
    uint64_t& before = newest[update->target_id()];
    const uint64_t sequence = update->position().sequence();
    const uint64_t counted = 1 + update->merged_batches() + update->missed_batches();
    if (before != 0) {
      missed += update->missed_batches();
      if (sequence > before + counted) uncounted += sequence - before - counted;
    }
    before = sequence;
    ++updates;
    merged += update->merged_batches();
  }
  const nlohmann::json line = {{"seconds", static_cast<double>(MonotonicNowNs() - begun_ns) / 1e9},
                               {"cpu_seconds", CpuSeconds() - cpu},
                               {"heap_growth_bytes", AnonymousBytes() - heap},
                               {"updates", updates},
                               {"merged", merged},
                               {"missed", missed},
                               {"uncounted", uncounted}};
  std::printf("%s\n", line.dump().c_str());
  return 0;
}

// The JSON line that a command prints last; null when there is none.
nlohmann::json OutputOf(const std::string& command) {
  std::string output;
  FILE* pipe = popen(command.c_str(), "r");
  char buffer[4096];
  for (size_t n; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) output.append(buffer, n);
  pclose(pipe);
  const size_t begin = output.rfind('{');
  if (begin == std::string::npos) return nullptr;
  return nlohmann::json::parse(output.substr(begin), nullptr, /*allow_exceptions=*/false);
}

double CpuPercent(const nlohmann::json& run) {
  return 100 * run["cpu_seconds"].get<double>() / run["seconds"].get<double>();
}

void Tell(const nlohmann::json& swift, const nlohmann::json& cpp, bench::Report& report) {
  const double seconds = swift["seconds"].get<double>();
  const double batches = swift["updates"].get<double>() + swift["merged"].get<double>();
  report.AtLeast("updates_per_second", batches / seconds, "1/s", 0.95 * kTargets * kHz);
  report.AtMost("merged", swift["merged"].get<double>(), "updates", std::nullopt);
  report.AtMost("missed", swift["missed"].get<double>(), "updates", std::nullopt);
  report.AtMost("lost_uncounted", swift["uncounted"].get<double>(), "updates", 0);
  report.AtMost("cpu_percent", CpuPercent(swift), "%", 15);
  report.AtMost("heap_growth_mb", swift["heap_growth_bytes"].get<double>() / 1e6, "MB", 5);
  report.Beside("cpu_percent", CpuPercent(swift), "%", "the C++ client", CpuPercent(cpp));
  report.AtMost("ratio", CpuPercent(swift) / CpuPercent(cpp), "times the C++ client's CPU",
                std::nullopt);
}

int Run() {
  bench::Report report("swift_stream");
  const std::string script = FAULTLINE_SOURCE_DIR "/scripts/test-swift.sh";
  if (std::system(("test -z \"$(" + script + " --why-not | tee /dev/stderr)\"").c_str()) != 0) {
    std::fprintf(stderr, "swift_stream: skipped, as said above\n");
    return 0;
  }
  cluster::Cluster cluster({});
  const std::string address = cluster.api_address(0);
  swift::Flood flood({address}, kTargets);
  const auto client = Connect(address);
  StatusOr<chaos::v1::StartExperimentResponse> started = MakeError(StatusCode::kUnavailable, "");
  cluster::Eventually([&] {
    auto request = cluster::LatencyOn("service:checkout");
    request.mutable_duration()->set_seconds(3'600);
    started = client->StartExperiment(request);
    return started.ok();
  });
  if (!started.ok()) {
    report.Fail(ToString(started.status().message()));
    return report.ExitCode();
  }
  flood.Begin(started->experiment_id(), kHz);
  const std::string arguments =
      fmt::format(" {} {} {}", address, started->experiment_id(), kSeconds);
  const auto swift = OutputOf(script + " --run swift_stream" + arguments);
  char self[4096] = {};
  if (readlink("/proc/self/exe", self, sizeof self - 1) < 0) return 1;
  const auto cpp = OutputOf(std::string(self) + " --peer" + arguments);
  if (!swift.is_object() || !cpp.is_object()) {
    report.Fail("a client gave no figures");
  } else {
    Tell(swift, cpp, report);
  }
  return report.ExitCode();
}

}  // namespace
}  // namespace faultline

int main(int argc, char** argv) {
  if (argc == 5 && std::string(argv[1]) == "--peer") {
    return faultline::RunPeer(argv[2], argv[3], std::atof(argv[4]));
  }
  return faultline::Run();
}
