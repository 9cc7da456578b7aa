#include "rtt_beside_netem.h"

#include <array>
#include <vector>

#include "bpf/probe.h"
#include "netem.h"
#include "netns/one_processor.h"
#include "netns/traffic.h"

namespace faultline::bench {
namespace {

using netns_test::Network;

constexpr uint16_t kPort = 7001;
constexpr int kRounds = 5;
constexpr double kGoal = 1.05;

enum Means : size_t { kFq, kTap, kNetem, kMeans };

class Host : public netns_test::DriverTest {
 public:
  explicit Host(Report& report) : report_(report) {}
  void TestBody() override {}

  bool Measure() {
    if (netns_test::WhyNot() || !bpf::HasFeature("fq")) return false;
    // Between two processors of an emulated machine a round trip takes several times as long, and
    // which it is would be chance.
    const netns_test::OneProcessor ends;
    SetUp();
    const Netem netem(*network_, kPort);
    const bool works = netem.Works();
    if (works) {
      netns_test::EchoServer server(*network_, kPort);
      for (const auto& [delay_ms, requests] : {std::pair{1.0, 100}, {10.0, 60}, {100.0, 20}}) {
        Compare(netem, delay_ms, requests);
      }
    }
    driver_.reset();
    network_.reset();
    return works;
  }

 private:
  void Compare(const Netem& netem, double delay_ms, int requests) {
    std::array<std::vector<double>, kMeans> times_ms;
    for (int round = 0; round < kRounds; ++round) {
      for (size_t turn = 0; turn < kMeans; ++turn) {
        const auto means = (turn + static_cast<size_t>(round)) % kMeans;
        driver_.reset();
        if (means == kNetem) {
          if (!netem.Make({"delay", fmt::format("{}ms", delay_ms)}))
            report_.Fail("netem was refused");
        } else {
          MakeDriver({.lane = means == kFq ? "fq" : "tap"});
          SetTarget(ServerTarget());
          auto latency = Latency(delay_ms);
          latency.mutable_filter()->set_protocol(::network::v1::PROTOCOL_UDP);
          latency.mutable_filter()->add_local_port(std::to_string(kPort));
          Arm(latency);
        }
        const auto more = RoundTripsMs(requests);
        times_ms[means].insert(times_ms[means].end(), more.begin(), more.end());
        if (means == kNetem) netem.Remove();
      }
    }
    const auto ms = [&](Means means, double percent) {
      return Percentile(times_ms[means], percent);
    };
    const std::string of = fmt::format("_{:g}ms", delay_ms);
    const double ratio = ms(kFq, 50) / ms(kNetem, 50);
    report_.AtMost("vm_rtt_ratio_fq" + of, ratio, "",
                   delay_ms >= 10 ? std::optional(kGoal) : std::nullopt);
    for (const double percent : {50.0, 99.0}) {
      const std::string which = fmt::format("p{:g}_ms{}", percent, of);
      report_.Beside("vm_rtt_fq_" + which, ms(kFq, percent), "ms", "netem", ms(kNetem, percent));
      report_.Beside("vm_rtt_tap_" + which, ms(kTap, percent), "ms", "netem", ms(kNetem, percent));
    }
  }

  std::vector<double> RoundTripsMs(int requests) {
    netns_test::Client client(*network_, netns_test::Protocol::kUdp, Network::kServer4, kPort);
    (void)client.RoundTrip();  // addresses are resolved
    std::vector<double> times_ms;
    for (int i = 0; i < requests; ++i) {
      if (const auto time = client.RoundTrip()) times_ms.push_back(time->count());
    }
    return times_ms;
  }

  Report& report_;
};

}  // namespace

bool MeasureBesideNetem(Report& report) {
  const bool measured = Host(report).Measure();
  if (!measured && NeedsNetem()) report.Fail("this kernel lacks netem, its flower filter or fq");
  return measured;
}

}  // namespace faultline::bench
