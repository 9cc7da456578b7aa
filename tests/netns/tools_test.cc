// What faults do, measured by tools that know nothing of Faultline: ping, iperf3, redis-benchmark.
#include <cmath>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>

#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

struct Way {
  const char* direction;
  bool ipv6;
};

class ToolsTest : public DriverTest, public testing::WithParamInterface<Way> {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    SetTarget(ServerTarget());
  }

  void ArmThis(const std::string& kind, std::map<std::string, std::string> parameters) {
    parameters["direction"] = GetParam().direction;
    parameters["whole_host"] = "true";
    ArmKind(kind, parameters);
  }
  std::string Server() const { return GetParam().ipv6 ? Network::kServer6 : Network::kServer4; }
  // What the command prints in the client's namespace; tools that lose packets end with an error.
  std::string AtClient(const std::vector<std::string>& command) const {
    int exit_code = 0;
    return RunAnyhow(Network::Inside(network_->client_netns(), command), &exit_code);
  }
  std::unique_ptr<Process> StartServer(const std::vector<std::string>& command, uint16_t port) {
    auto process = std::make_unique<Process>(Network::Inside(network_->server_netns(), command));
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (TryConnect(*network_, Server(), port) != 0) {
      EXPECT_LT(std::chrono::steady_clock::now(), end) << command[0] << " does not come up";
      if (std::chrono::steady_clock::now() >= end) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return process;
  }
};

// The pattern's one group as a number; NaN, and a failure, without it.
double NumberIn(const std::string& text, const std::string& pattern) {
  std::smatch match;
  if (std::regex_search(text, match, std::regex(pattern))) return std::stod(match[1]);
  ADD_FAILURE() << "no " << pattern << " in:\n" << text;
  return NAN;
}

TEST_P(ToolsTest, PingLosesTheShareAsked) {
  constexpr int kPings = 400;
  constexpr double kPercent = 20;
  ArmThis("NETWORK_LOSS", {{"loss_percent", "20"}});
  const std::string said = AtClient(
      {"ping", "-n", "-q", "-c", std::to_string(kPings), "-i", "0.002", "-W", "1", Server()});
  // Five standard deviations of a binomial share.
  const double bound = 500 * std::sqrt(kPercent / 100 * (1 - kPercent / 100) / kPings);
  EXPECT_NEAR(NumberIn(said, "([0-9.]+)% packet loss"), kPercent, bound);
  // Each of them is counted, as is what else went on (IPv6 asks for routers).
  EXPECT_GE(static_cast<double>(SettledCounters().dropped()),
            NumberIn(said, "([0-9]+) packets transmitted") - NumberIn(said, "([0-9]+) received"));
}

TEST_P(ToolsTest, PingTakesTheDelayAskedLonger) {
  ArmThis("NETWORK_LATENCY", {{"delay_ms", "40"}});
  const std::string said = AtClient({"ping", "-n", "-q", "-c", "20", "-i", "0.02", Server()});
  const double least = NumberIn(said, "rtt min/avg/max/mdev = ([0-9.]+)/");
  EXPECT_GE(least, 40);
  EXPECT_LT(least, 80) << "the delay is there once, and not in both directions";
  Disarm();
  const std::string healed = AtClient({"ping", "-n", "-q", "-c", "20", "-i", "0.02", Server()});
  EXPECT_LT(NumberIn(healed, "rtt min/avg/max/mdev = ([0-9.]+)/"), 40);
}

TEST_P(ToolsTest, IperfGetsNoMoreThanTheRate) {
  constexpr double kRateBps = 20e6;
  const auto server = StartServer({"iperf3", "-s", "-p", "5201"}, 5201);
  ArmThis("NETWORK_BANDWIDTH", {{"rate_bps", "20mbps"}, {"queue_bytes", "200kB"}});
  std::vector<std::string> command = {"iperf3", "-J", "-c", Server(), "-p", "5201", "-t", "3"};
  if (GetParam().direction == std::string("egress")) command.push_back("-R");
  const auto said = nlohmann::json::parse(AtClient(command), nullptr, /*allow_exceptions=*/false);
  ASSERT_TRUE(said.contains("end") && said["end"].contains("sum_received")) << said.dump(1);
  const double got_bps = said["end"]["sum_received"]["bits_per_second"];
  // Payload, without the headers of at most 78 bytes in 1,514; what waits in the queue at the end
  // may be counted. A slow machine gets less, but not by half.
  EXPECT_LE(got_bps, kRateBps);
  EXPECT_GE(got_bps, kRateBps / 2);
}

TEST_P(ToolsTest, RedisBenchmarkWaitsForTheDelay) {
  const auto server = StartServer({"redis-server", "--port", "6379", "--bind", Server(), "--save",
                                   "", "--protected-mode", "no"},
                                  6379);
  ArmThis("NETWORK_LATENCY", {{"delay_ms", "20"}});
  const std::string said =
      AtClient({"redis-benchmark", "-h", Server(), "-c", "1", "-n", "50", "-t", "get", "--csv"});
  // "test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms",...
  EXPECT_GE(NumberIn(said, "\"GET\",\"[0-9.]+\",\"[0-9.]+\",\"([0-9.]+)\""), 20);
  EXPECT_LT(NumberIn(said, "\"GET\",\"[0-9.]+\",\"[0-9.]+\",\"([0-9.]+)\""), 40);
}

INSTANTIATE_TEST_SUITE_P(Ways, ToolsTest,
                         testing::Values(Way{"egress", false}, Way{"ingress", false},
                                         Way{"egress", true}, Way{"ingress", true}),
                         [](const auto& way) {
                           return fmt::format("{}{}", way.param.direction,
                                              way.param.ipv6 ? "Ipv6" : "Ipv4");
                         });

}  // namespace
}  // namespace faultline::netns_test
