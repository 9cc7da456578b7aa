// What a lane lets through: bulk TCP through a delay of 1 ms by the same path without it, and,
// where the kernel has fq and netem (scripts/bench.sh --vm lane_throughput), packets a second that
// come out of a delay of 10 ms, by what comes out of netem's. Turns take each other's place; a
// ratio is the median of the turns' ratios.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <thread>
#include <vector>

#include "bpf/probe.h"
#include "driver_bench.h"
#include "netem.h"
#include "netns/traffic.h"

namespace faultline::bench {
namespace {

using namespace std::chrono_literals;
using netns_test::Network;
using Clock = std::chrono::steady_clock;

constexpr uint16_t kPort = 7001;
constexpr int kTurns = 9;
constexpr auto kTurn = 1000ms;
constexpr auto kWarm = 300ms;
constexpr double kTcpDelayMs = 1;
constexpr double kPacketDelayMs = 10;
constexpr size_t kPayload = 64;
constexpr double kTcpGoal = 0.6;
constexpr double kPacketsGoal = 0.9;

double Median(std::vector<double> values) {
  if (values.empty()) return NAN;
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

double Seconds(Clock::duration time) { return std::chrono::duration<double>(time).count(); }

class Host : public DriverBench {
 public:
  Host() : DriverBench("lane_throughput") {}

 private:
  void Measure() override {
    MeasureTcp("tap");
    if (bpf::HasFeature("fq")) MeasureTcp("fq");
    const Netem netem(*network_, kPort);
    if (netem.Works()) {
      MeasurePackets(netem);
    } else if (NeedsNetem()) {
      report_.Fail("this kernel has no netem, or no flower filter, to compare packets with");
    } else {
      std::fprintf(stderr,
                   "lane_throughput: this kernel has no netem to compare packets with; "
                   "scripts/bench.sh --vm lane_throughput has one\n");
    }
  }

  void MeasureTcp(const std::string& lane) {
    MakeDriver({.lane = lane});
    SetTarget(ServerTarget({kPort}));
    std::vector<double> ratios, bare_mbps, delayed_mbps;
    for (int turn = 0; turn < kTurns; ++turn) {
      bare_mbps.push_back(TcpMbps());
      Arm(Latency(kTcpDelayMs));
      delayed_mbps.push_back(TcpMbps());
      Disarm();
      (void)Sample();
      ratios.push_back(delayed_mbps.back() / bare_mbps.back());
    }
    // Where fq takes the short delays the TAP lane is only shown beside it.
    if (lane == "tap" && bpf::HasFeature("fq")) {
      report_.AtMost("tcp_ratio_" + lane, Median(ratios), "", std::nullopt);
    } else {
      report_.AtLeast("tcp_ratio_" + lane, Median(ratios), "", kTcpGoal);
    }
    report_.Beside("tcp_mbps_" + lane, Median(delayed_mbps), "Mbit/s", "no fault",
                   Median(bare_mbps));
  }

  // From the server, whose packets the fault delays, to the client.
  double TcpMbps() {
    netns_test::Acceptor acceptor(*network_, kPort);
    netns_test::Client client(*network_, netns_test::Protocol::kTcp, Network::kServer4, kPort);
    const bpf::UniqueFd server = acceptor.Accept();
    std::atomic<bool> done{false};
    std::thread sender([&] {
      const std::vector<char> block(256 * 1024, 'x');
      while (!done) {
        if (send(server.get(), block.data(), block.size(), MSG_NOSIGNAL) < 0) return;
      }
    });
    const auto [bytes, seconds] = Count(client.fd(), /*packets=*/false);
    done = true;
    shutdown(client.fd(), SHUT_RDWR);
    shutdown(server.get(), SHUT_RDWR);
    sender.join();
    return static_cast<double>(bytes) * 8 / seconds / 1e6;
  }

  // What is read from the socket within a turn, once it is warm.
  static std::pair<uint64_t, double> Count(int fd, bool packets) {
    std::vector<char> buffer(1 << 20);
    const timeval patience{.tv_sec = 0, .tv_usec = 100'000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    const auto begin = Clock::now() + kWarm, end = begin + kTurn;
    uint64_t count = 0;
    auto now = Clock::now();
    while (now < end) {
      const ssize_t got = recv(fd, buffer.data(), buffer.size(), 0);
      now = Clock::now();
      if (got > 0 && now >= begin) count += packets ? 1 : static_cast<uint64_t>(got);
    }
    return {count, Seconds(now - begin)};
  }

  void MeasurePackets(const Netem& netem) {
    std::vector<std::string> lanes = {"tap"};
    if (bpf::HasFeature("fq")) lanes.emplace_back("fq");
    for (const std::string& lane : lanes) {
      std::vector<double> ratios, ours, netems;
      for (int turn = 0; turn < kTurns; ++turn) {
        driver_.reset();
        if (!netem.Make({"delay", fmt::format("{}ms", kPacketDelayMs)}))
          report_.Fail("netem was refused");
        netems.push_back(PacketsPerSecond());
        netem.Remove();
        MakeDriver({.lane = lane});
        SetTarget(ServerTarget());
        auto latency = Latency(kPacketDelayMs);
        latency.mutable_filter()->set_protocol(::network::v1::PROTOCOL_UDP);
        latency.mutable_filter()->add_local_port(std::to_string(kPort));
        Arm(latency);
        ours.push_back(PacketsPerSecond());
        ratios.push_back(ours.back() / netems.back());
      }
      const std::string metric = "pps_ratio_" + lane + "_netem";
      if (lane == "fq") report_.AtLeast(metric, Median(ratios), "", kPacketsGoal);
      report_.Beside("pps_" + lane, Median(ours), "1/s", "netem", Median(netems));
    }
  }

  double PacketsPerSecond() {
    netns_test::Client client(*network_, netns_test::Protocol::kUdp, Network::kServer4, kPort,
                              kPort);
    const int buffer = 8 << 20;
    setsockopt(client.fd(), SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer));
    std::atomic<bool> done{false};
    std::thread sender([&] { Flood(done); });
    const auto [packets, seconds] = Count(client.fd(), /*packets=*/true);
    done = true;
    sender.join();
    return static_cast<double>(packets) / seconds;
  }

  // From the server's port to the client's, as fast as it goes.
  void Flood(const std::atomic<bool>& done) const {
    int fd = -1;
    network_->InServer([&] {
      sockaddr_in from{}, to{};
      from.sin_family = to.sin_family = AF_INET;
      from.sin_port = to.sin_port = htons(kPort);
      inet_pton(AF_INET, Network::kServer4, &from.sin_addr);
      inet_pton(AF_INET, Network::kClient4, &to.sin_addr);
      fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
      const int buffer = 64 << 20;  // netem holds on to the sender's: it is not to wait for that
      setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer));
      bind(fd, reinterpret_cast<const sockaddr*>(&from), sizeof(from));
      connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to));
    });
    const bpf::UniqueFd owner(fd);
    const std::vector<char> payload(kPayload, 'x');
    while (!done) (void)send(fd, payload.data(), payload.size(), 0);
  }
};

}  // namespace
}  // namespace faultline::bench

int main() { return faultline::bench::Host().Main(); }
