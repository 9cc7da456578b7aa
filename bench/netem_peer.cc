// The same delay, jitter, loss and rate by `tc netem` (a prio qdisc with a flower filter in front)
// and by our datapath, on the same veth pair, in turns in one run: what matched packets get, and
// what the others pay. Needs a kernel with netem: scripts/bench.sh --vm netem_peer runs it in a
// virtual machine, where only the ratios mean something, and where netem must be there
// (FAULTLINE_BENCH_NEEDS_NETEM is set).
#include <algorithm>
#include <cmath>
#include <numeric>
#include <thread>
#include <vector>

#include "driver_bench.h"
#include "netem.h"
#include "netns/one_processor.h"
#include "netns/traffic.h"

namespace faultline::bench {
namespace {

using namespace std::chrono_literals;
using netns_test::Network;

constexpr uint16_t kMatchedPort = 7001;
constexpr uint16_t kOtherPort = 7002;
constexpr int kRounds = 3;
// Short turns, and many of them: what the machine does besides lasts longer than a turn.
constexpr int kUnmatchedTurns = 24;
constexpr int kUnmatchedRequests = 60;
constexpr int kLossPackets = 2000;
constexpr double kLossPercent = 10;
constexpr double kLossDeviations = 5;
constexpr double kJitterMs = 10;
// The ratio of two uniform deviations of 3 * 300 samples deviates by 2 %.
constexpr int kJitterRequests = 300;
// How far from netem's what is delayed or slowed may be.
constexpr double kTolerance = 0.1;
// Of the answers that should come.
constexpr double kFewestAnswers = 0.95;
// Slow enough that a busy machine is the faster one.
constexpr double kRateBps = 2e6;
constexpr int kRatePackets = 250;
constexpr size_t kRatePacketBytes = 1000;
constexpr size_t kHeaderBytes = 14 + 20 + 8;  // Ethernet, IPv4, UDP

enum class Means { kNothing, kOurs, kNetem };

double Mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double Deviation(const std::vector<double>& values) {
  const double mean = Mean(values);
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / static_cast<double>(values.size()));
}

class Host : public DriverBench {
 public:
  Host() : DriverBench("netem_peer") {}

 private:
  void Measure() override {
    netem_.emplace(*network_, kMatchedPort);
    if (!netem_->Works()) {
      constexpr char kWhy[] =
          "not measured: this kernel has no netem or no flower filter; scripts/bench.sh --vm "
          "netem_peer has one";
      if (NeedsNetem()) {
        report_.Fail(kWhy);
      } else {
        std::fprintf(stderr, "netem_peer: %s\n", kWhy);
      }
    } else {
      // Both ends, but not the lane: in an emulated machine a round trip between two processors
      // takes several times as long, and which it is would be chance.
      const netns_test::OneProcessor ends;
      netns_test::EchoServer matched(*network_, kMatchedPort), other(*network_, kOtherPort);
      for (const auto& [delay_ms, requests] : {std::pair{1.0, 100}, {10.0, 60}, {100.0, 20}}) {
        CompareDelay(delay_ms, requests);
      }
      CompareJitter();
      CompareLoss();
      CompareRate();
      CompareUnmatched();
      if (HasFailure()) report_.Fail("a step of the benchmark itself failed: see above");
    }
  }

  // A figure that must be one.
  bool IsNumber(const std::string& metric, double value) {
    if (!std::isfinite(value)) report_.Fail(metric + " is not a number");
    return std::isfinite(value);
  }
  // Ours beside netem's; the ratio must be near 1.
  void Near(const std::string& metric, double ours, double netem, const std::string& unit) {
    report_.Beside(metric, ours, unit, "netem", netem);
    const double ratio = ours / netem;
    if (!IsNumber(metric, ratio)) return;
    report_.AtLeast(metric + "_netem_ratio", ratio, "", 1 - kTolerance);
    report_.AtMost(metric + "_netem_ratio", ratio, "", 1 + kTolerance);
  }
  void ExpectAnswers(const std::string& what, double came, double asked) {
    if (came < kFewestAnswers * asked)
      report_.Fail(fmt::format("{}: only {:.0f} of {:.0f} answers", what, came, asked));
  }

  template <typename Config>
  void Begin(Means means, Config config, const std::vector<std::string>& effect) {
    if (means == Means::kNetem && !netem_->Make(effect)) report_.Fail("netem was refused");
    if (means != Means::kOurs) return;
    SetTarget(ServerTarget());
    auto* filter = config.mutable_filter();
    filter->set_protocol(::network::v1::PROTOCOL_UDP);
    filter->add_local_port(std::to_string(kMatchedPort));
    Arm(config);
  }
  void End(Means means) {
    if (means == Means::kNetem) netem_->Remove();
    if (means != Means::kOurs) return;
    // Nothing of ours is on the interface while the others are measured.
    driver_->SetTargets({});
  }

  std::vector<double> RoundTripsMs(uint16_t port, int requests) {
    netns_test::Client client(*network_, netns_test::Protocol::kUdp, Network::kServer4, port);
    (void)client.RoundTrip();  // addresses are resolved
    std::vector<double> times_ms;
    for (int i = 0; i < requests; ++i) {
      if (const auto time = client.RoundTrip()) times_ms.push_back(time->count());
    }
    ExpectAnswers(fmt::format("round trips, port {}", port), static_cast<double>(times_ms.size()),
                  requests);
    return times_ms;
  }

  // Round trips under each means, in turns, by one request after another.
  template <typename Config>
  std::array<std::vector<double>, 3> InTurns(const Config& config,
                                             const std::vector<std::string>& effect, uint16_t port,
                                             int requests) {
    std::array<std::vector<double>, 3> times_ms;
    for (int round = 0; round < kRounds; ++round) {
      for (const Means means : {Means::kNothing, Means::kOurs, Means::kNetem}) {
        Begin(means, config, effect);
        const auto more = RoundTripsMs(port, requests);
        auto& all = times_ms[static_cast<size_t>(means)];
        all.insert(all.end(), more.begin(), more.end());
        End(means);
      }
    }
    return times_ms;
  }

  void CompareDelay(double delay_ms, int requests) {
    const auto [bare, ours, netem] = InTurns(
        Latency(delay_ms), {"delay", fmt::format("{}ms", delay_ms)}, kMatchedPort, requests);
    const double path_ms = Percentile(bare, 50);
    for (const double percent : {50.0, 99.0}) {
      report_.Beside(fmt::format("added_p{:.0f}_ms_of_{:.0f}ms", percent, delay_ms),
                     Percentile(ours, percent) - path_ms, "ms", "netem",
                     Percentile(netem, percent) - path_ms);
    }
    Near(fmt::format("added_mean_ms_of_{:.0f}ms", delay_ms), Mean(ours) - Mean(bare),
         Mean(netem) - Mean(bare), "ms");
    report_.AtMost(fmt::format("path_p50_ms_beside_{:.0f}ms", delay_ms), path_ms, "ms",
                   std::nullopt);
  }

  void CompareJitter() {
    auto latency = Latency(2 * kJitterMs);
    latency.set_jitter_ms(kJitterMs);
    const auto [bare, ours, netem] = InTurns(
        latency, {"delay", fmt::format("{}ms", 2 * kJitterMs), fmt::format("{}ms", kJitterMs)},
        kMatchedPort, kJitterRequests);
    Near("jitter_mean_ms_of_20ms", Mean(ours) - Mean(bare), Mean(netem) - Mean(bare), "ms");
    Near("jitter_deviation_ms", Deviation(ours), Deviation(netem), "ms");
  }

  void CompareLoss() {
    std::array<double, 3> lost_percent{};
    for (const Means means : {Means::kOurs, Means::kNetem}) {
      Begin(means, Loss(kLossPercent), {"loss", fmt::format("{}%", kLossPercent)});
      netns_test::Client client(*network_, netns_test::Protocol::kUdp, Network::kServer4,
                                kMatchedPort);
      for (int i = 0; i < kLossPackets; ++i) {
        client.Send("12345678");
        if (i % 20 == 0) std::this_thread::sleep_for(5ms);
      }
      const auto back = client.Receive(size_t{8} * kLossPackets, 1000ms);
      lost_percent[static_cast<size_t>(means)] =
          100 - 100 * static_cast<double>(back.size()) / (8.0 * kLossPackets);
      End(means);
    }
    report_.Beside("lost_percent_of_10", lost_percent[1], "%", "netem", lost_percent[2]);
    const double deviation = std::sqrt(kLossPercent * (100 - kLossPercent) / kLossPackets);
    // netem's too: a comparison with a peer that loses nothing would be none.
    for (const auto& [whose, percent] :
         {std::pair{"", lost_percent[1]}, {"netem_", lost_percent[2]}}) {
      const std::string metric = fmt::format("{}lost_percent_deviations_off", whose);
      if (!IsNumber(metric, percent)) continue;
      report_.AtMost(metric, std::abs(percent - kLossPercent) / deviation, "", kLossDeviations);
    }
  }

  // What comes through a slower link that is always busy, its queue never full.
  void CompareRate() {
    ::network::v1::NetworkBandwidth bandwidth;
    bandwidth.set_rate_bps(kRateBps);
    bandwidth.set_queue_bytes(1e6);
    std::array<std::vector<double>, 3> rates_mbps;
    for (int round = 0; round < kRounds; ++round) {
      for (const Means means : {Means::kOurs, Means::kNetem}) {
        Begin(means, bandwidth, {"rate", fmt::format("{}bit", kRateBps)});
        rates_mbps[static_cast<size_t>(means)].push_back(RateMbps());
        End(means);
      }
    }
    Near("rate_mbps_of_2", Percentile(rates_mbps[1], 50), Percentile(rates_mbps[2], 50), "Mbit/s");
  }

  double RateMbps() {
    netns_test::Client client(*network_, netns_test::Protocol::kUdp, Network::kServer4,
                              kMatchedPort);
    constexpr size_t kPayload = kRatePacketBytes - kHeaderBytes;
    for (int i = 0; i < kRatePackets; ++i) client.Send(std::string(kPayload, 'x'));
    (void)client.Receive(kPayload);
    const auto began = std::chrono::steady_clock::now();
    const auto rest = client.Receive(kPayload * (kRatePackets - 1), 1000ms).size();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    const auto packets = static_cast<double>(rest) / kPayload;
    ExpectAnswers("slow link", packets, kRatePackets - 1);
    return packets * kRatePacketBytes * 8 / took.count() / 1e6;
  }

  // Medians over turns of each turn's median; who begins changes from turn to turn.
  void CompareUnmatched() {
    std::array<std::vector<double>, 3> p50_us;
    std::vector<double> by_netem, by_nothing;
    std::array means = {Means::kNothing, Means::kOurs, Means::kNetem};
    for (int turn = 0; turn < kUnmatchedTurns; ++turn) {
      std::array<double, 3> now_us{};
      for (const Means each : means) {
        Begin(each, Latency(100), {"delay", "100ms"});
        const auto times_ms = RoundTripsMs(kOtherPort, kUnmatchedRequests);
        now_us[static_cast<size_t>(each)] = 1000 * Percentile(times_ms, 50);
        End(each);
      }
      std::rotate(means.begin(), means.begin() + 1, means.end());
      for (size_t i = 0; i < p50_us.size(); ++i) p50_us[i].push_back(now_us[i]);
      by_netem.push_back(now_us[1] / now_us[2]);
      by_nothing.push_back(now_us[1] / now_us[0]);
    }
    const double ours_us = Percentile(p50_us[1], 50);
    IsNumber("unmatched_p50_us", ours_us + Percentile(p50_us[0], 50) + Percentile(p50_us[2], 50));
    report_.Beside("unmatched_p50_us", ours_us, "us", "netem", Percentile(p50_us[2], 50));
    report_.Beside("unmatched_p50_us_beside_no_fault", ours_us, "us", "no fault",
                   Percentile(p50_us[0], 50));
    for (const double percent : {25.0, 50.0, 75.0}) {
      report_.AtMost(fmt::format("unmatched_ratio_netem_turns_p{:.0f}", percent),
                     Percentile(by_netem, percent), "", std::nullopt);
      report_.AtMost(fmt::format("unmatched_ratio_no_fault_turns_p{:.0f}", percent),
                     Percentile(by_nothing, percent), "", std::nullopt);
    }
  }

  std::optional<Netem> netem_;
};

}  // namespace
}  // namespace faultline::bench

int main() { return faultline::bench::Host().Main(); }
