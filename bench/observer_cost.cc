// What measuring costs the service: redis-benchmark with and without the driver's measuring on the
// server's interface, turn by turn, the samples read ten times a second as the agent does.
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <numeric>
#include <thread>
#include <vector>

#include "driver_bench.h"

namespace faultline::bench {
namespace {

using netns_test::Network;
using netns_test::RunAnyhow;

constexpr double kGoalRatio = 0.97;
constexpr int kRounds = 240;
constexpr std::chrono::milliseconds kReadEvery{100};
constexpr const char* kRequests = "20000";

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<long>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

// Of the middle half: outliers do not count, and all the rest does.
double MiddleMean(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto quarter = static_cast<long>(values.size() / 4);
  const auto begin = values.begin() + quarter, end = values.end() - quarter;
  return std::accumulate(begin, end, 0.0) / static_cast<double>(end - begin);
}

class Host : public DriverBench {
 public:
  Host() : DriverBench("observer_cost") {}

 private:
  void Measure() override {
    char folder[] = "/tmp/faultline_bench_XXXXXX";
    const std::string directory = mkdtemp(folder);
    StartRedis(directory);
    std::vector<double> with, without, ratios;
    for (int round = 0; round < kRounds; ++round) {
      // Whatever goes first profits or suffers from it.
      for (const bool measured : {round % 2 == 0, round % 2 != 0}) {
        driver_->SetTargets(measured ? std::vector{ServerTarget({6'379})}
                                     : std::vector<chaos::v1::Target>{});
        (measured ? with : without).push_back(RequestsPerSecond());
      }
      ratios.push_back(with.back() / without.back());
    }
    if (Median(without) <= 0 || measured_ == 0) {
      report_.Fail("redis-benchmark measured nothing, or the driver did not");
    } else {
      report_.AtLeast("throughput_ratio", MiddleMean(ratios), "", kGoalRatio);
      report_.Beside("requests_per_second", Median(with), "1/s", "not measured", Median(without));
    }
    StopRedis(directory);
  }

  void StartRedis(const std::string& directory) const {
    int code = 0;
    RunAnyhow(Network::Inside(network_->server_netns(),
                              {"redis-server", "--daemonize", "yes", "--pidfile",
                               directory + "/pid", "--bind", Network::kServer4, "--port", "6379",
                               "--protected-mode", "no", "--save", "", "--dir", directory}),
              &code);
    for (int i = 0; i < 100 && !std::filesystem::exists(directory + "/pid"); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }
  void StopRedis(const std::string& directory) const {
    int code = 0;
    RunAnyhow(Network::Inside(network_->client_netns(),
                              {"redis-cli", "-h", Network::kServer4, "shutdown"}),
              &code);
    for (int i = 0; i < 100 && std::filesystem::exists(directory + "/pid"); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    std::filesystem::remove_all(directory);
  }

  // One run of redis-benchmark; 0 when it fails.
  double RequestsPerSecond() {
    auto run = std::async(std::launch::async, [this] {
      int code = 0;
      return RunAnyhow(Network::Inside(network_->client_netns(),
                                       {"redis-benchmark", "-h", Network::kServer4, "-t", "get",
                                        "-c", "20", "-n", kRequests, "--csv"}),
                       &code);
    });
    while (run.wait_for(kReadEvery) != std::future_status::ready) {
      std::vector<chaos::v1::TargetSample> samples;
      driver_->ReadSamples(&samples);
      for (const auto& sample : samples) {
        const auto& counts = sample.latency().count();
        measured_ += std::accumulate(counts.begin(), counts.end(), uint64_t{0});
      }
    }
    // "GET","91743.12",...
    const std::string text = run.get();
    const size_t at = text.find("\"GET\",\"");
    return at == std::string::npos ? 0 : std::strtod(text.c_str() + at + 7, nullptr);
  }

  uint64_t measured_ = 0;
};

}  // namespace
}  // namespace faultline::bench

int main() { return faultline::bench::Host().Main(); }
