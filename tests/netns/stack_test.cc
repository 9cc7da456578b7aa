// Every pair of network kinds on one target at once: what is lost is lost first, then come the
// slower link, copies, flipped bits and delays, whichever was armed first.
#include <algorithm>
#include <cmath>

#include "base/clock.h"
#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

constexpr uint16_t kPort = 7001;
constexpr int kPackets = 1000;
constexpr size_t kPacketBytes = 200;
constexpr size_t kHeaderBytes = 14 + 20 + 8;  // Ethernet, IPv4, UDP

// What a kind is asked for here, and what that means for packets.
struct Fault {
  const char* kind;
  std::map<std::string, std::string> parameters;
  double share = 1;             // of the packets that arrive, copies included
  bool loses = false;           // in the kernel, before anything else
  double least_s = 0;           // later than that each packet arrives
  double seconds_a_packet = 0;  // of a link that is busy
  bool reorders = false;
};

const Fault kFaults[] = {
    {"NETWORK_LATENCY", {{"delay_ms", "200"}}, 1, false, 0.2},
    {"NETWORK_LOSS", {{"loss_percent", "30"}}, 0.7, true},
    {"NETWORK_BANDWIDTH", {{"rate_bps", "4mbps"}, {"queue_bytes", "1MB"}}, 1, false, 0, 4e-4},
    {"NETWORK_BLACKHOLE", {}, 0, true},
    {"NETWORK_PARTITION", {{"groups", "10.209.0.1,10.209.0.2"}}, 0, true},
    {"NETWORK_DUPLICATE", {{"duplicate_percent", "30"}}, 1.3},
    {"NETWORK_CORRUPT", {{"corrupt_percent", "30"}, {"part", "payload"}}, 0.7},
    {"NETWORK_REORDER", {{"reorder_percent", "30"}, {"hold_ms", "300"}}, 1, false, 0, 0, true},
};

class StackTest : public DriverTest, public testing::WithParamInterface<std::pair<int, int>> {
 protected:
  void ArmFault(const Fault& fault, unsigned index) {
    auto parameters = fault.parameters;
    if (fault.kind != std::string("NETWORK_PARTITION")) {
      parameters.insert({{"direction", "ingress"}, {"protocol", "udp"}});
    } else {
      parameters.insert({"protocol", "udp"});
    }
    ArmKind(fault.kind, parameters, index, /*seed=*/11 + index);
  }
};

TEST_P(StackTest, BothDoTheirPartAndGoWithoutATrace) {
  const Fault& a = kFaults[GetParam().first];
  const Fault& b = kFaults[GetParam().second];
  const std::string before = network_->KernelState(network_->server_netns());
  SetTarget(ServerTarget());
  ArmFault(a, 0);
  ArmFault(b, 1);
  Sink sink(*network_, kPort);
  Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
  const uint64_t began_ns = BoottimeNowNs();
  for (int i = 0; i < kPackets; ++i) {
    client.Send(fmt::format("{:06}", i) + std::string(kPacketBytes - kHeaderBytes - 6, 'p'));
    // The kernel's own queues hold a thousand packets, and slow machines fill them.
    if (i % 20 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const auto arrived = sink.Take(2 * kPackets);
  const auto first = SettledCounters(0), second = Counters(1);

  // Each share has a binomial variance of its own; five standard deviations of both together.
  const double expected = kPackets * a.share * b.share;
  EXPECT_NEAR(static_cast<double>(arrived.size()), expected, 5 * std::sqrt(2 * 0.25 * kPackets));
  EXPECT_EQ(arrived.empty(), expected == 0);
  EXPECT_EQ(first.lane_dropped() + second.lane_dropped(), 0u);

  // What the kernel loses meets no fault of the lane.
  const uint64_t all = kPackets;
  if (a.loses != b.loses) {
    const auto& loser = a.loses ? first : second;
    const auto& other = a.loses ? second : first;
    EXPECT_EQ(loser.matched(), all);
    EXPECT_EQ(other.matched(), all - loser.dropped());
  } else if (!a.loses) {
    EXPECT_EQ(first.matched(), all);
    EXPECT_EQ(second.matched(), all);
  }

  if (!arrived.empty()) {
    const double through = kPackets * (a.loses ? a.share : b.loses ? b.share : 1) * 0.9;
    EXPECT_GE(static_cast<double>(sink.last_ns() - began_ns) / 1e9,
              a.least_s + b.least_s + through * (a.seconds_a_packet + b.seconds_a_packet));
    EXPECT_NE(std::ranges::is_sorted(arrived), a.reorders || b.reorders);
  }

  Disarm(0);
  Disarm(1);
  EchoServer echo(*network_, kPort + 1);
  Client other(*network_, Protocol::kUdp, Network::kServer4, kPort + 1);
  EXPECT_TRUE(other.AnswersBefore(150));
  ExpectNothingLeft(before);
}

std::vector<std::pair<int, int>> Pairs() {
  std::vector<std::pair<int, int>> pairs;
  const int count = static_cast<int>(std::size(kFaults));
  for (int a = 0; a < count; ++a) {
    for (int b = a + 1; b < count; ++b) pairs.emplace_back(a, b);
  }
  return pairs;
}

INSTANTIATE_TEST_SUITE_P(EveryPair, StackTest, testing::ValuesIn(Pairs()), [](const auto& pair) {
  const auto name = [](int index) { return std::string(kFaults[index].kind).substr(8); };
  return name(pair.param.first) + "And" + name(pair.param.second);
});

}  // namespace
}  // namespace faultline::netns_test
