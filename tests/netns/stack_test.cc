// Two experiments on one target at once, of every pair of kinds: what is lost is lost first, then
// come the slower link, copies, flipped bits and delays, whichever was armed first. When one is
// stopped the other is whole.
#include <algorithm>
#include <cmath>
#include <initializer_list>

#include "base/clock.h"
#include "faults/network/datapath.h"
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
  double share = 1;             // of the packets that arrive
  double copies = 0;            // of each, besides
  bool loses = false;           // in the kernel, before anything else
  double least_s = 0;           // later than that each packet arrives
  double seconds_a_packet = 0;  // of a link that is busy
  bool reorders = false;
};

const Fault kFaults[] = {
    {"NETWORK_LATENCY", {{"delay_ms", "200"}}, 1, 0, false, 0.2},
    {"NETWORK_LOSS", {{"loss_percent", "30"}}, 0.7, 0, true},
    {"NETWORK_BANDWIDTH", {{"rate_bps", "4mbps"}, {"queue_bytes", "1MB"}}, 1, 0, false, 0, 4e-4},
    {"NETWORK_BLACKHOLE", {}, 0, 0, true},
    {"NETWORK_PARTITION", {{"groups", "10.209.0.1,10.209.0.2"}}, 0, 0, true},
    {"NETWORK_DUPLICATE", {{"duplicate_percent", "30"}}, 1, 0.3},
    {"NETWORK_CORRUPT", {{"corrupt_percent", "30"}, {"part", "payload"}}, 0.7},
    {"NETWORK_REORDER", {{"reorder_percent", "30"}, {"hold_ms", "300"}}, 1, 0, false, 0, 0, true},
};

class StackTest : public DriverTest, public testing::WithParamInterface<std::pair<int, int>> {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    apart_ = true;
    if (network_) sink_ = std::make_unique<Sink>(*network_, kPort);
  }
  // With one seed for both: what they choose has nothing to do with each other all the same.
  void ArmFault(const Fault& fault, unsigned index) {
    auto parameters = fault.parameters;
    if (fault.kind != std::string("NETWORK_PARTITION")) {
      parameters.insert({{"direction", "ingress"}, {"protocol", "udp"}});
    } else {
      parameters.insert({"protocol", "udp"});
    }
    ArmKind(fault.kind, parameters, index, /*seed=*/11);
  }
  // What arrives of kPackets, and how long after the first was sent the last did.
  struct Arrivals {
    std::vector<std::string> packets;
    double seconds = 0;
  };
  Arrivals SendPackets() {
    Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
    const uint64_t began_ns = BoottimeNowNs();
    client.SendInOrder(kPackets, [](int i) {
      return fmt::format("{:06}", i) + std::string(kPacketBytes - kHeaderBytes - 6, 'p');
    });
    Arrivals arrivals{.packets = TakeAll(sink_.get(), 2 * kPackets)};
    if (!arrivals.packets.empty())
      arrivals.seconds = static_cast<double>(sink_->last_ns() - began_ns) / 1e9;
    return arrivals;
  }
  // That the packets came as the faults want it. Each share has a binomial variance of its own:
  // five standard deviations of two together.
  static void ExpectEffect(const Arrivals& arrivals, std::initializer_list<Fault> faults) {
    double share = 1, through = 1, copies = 0, least_s = 0, seconds_a_packet = 0;
    bool reorders = false;
    for (const Fault& fault : faults) {
      share *= fault.share;
      if (fault.loses) through *= fault.share;
      copies += fault.copies;
      least_s += fault.least_s;
      // Links are one behind the other: the tightest holds.
      seconds_a_packet = std::max(seconds_a_packet, fault.seconds_a_packet);
      reorders |= fault.reorders;
    }
    const double expected = kPackets * share * (1 + copies);
    EXPECT_NEAR(static_cast<double>(arrivals.packets.size()), expected,
                5 * std::sqrt(2 * 0.25 * kPackets));
    EXPECT_EQ(arrivals.packets.empty(), expected == 0);
    if (arrivals.packets.empty()) return;
    EXPECT_GE(arrivals.seconds, least_s + 0.9 * kPackets * through * seconds_a_packet);
    EXPECT_NE(std::ranges::is_sorted(arrivals.packets), reorders);
  }

  std::unique_ptr<Sink> sink_;
};

TEST_P(StackTest, BothDoTheirPartAndEachIsWholeWithoutTheOther) {
  const Fault& a = kFaults[GetParam().first];
  const Fault& b = kFaults[GetParam().second];
  const std::string before = network_->KernelState(network_->server_netns());
  SetTarget(ServerTarget());
  ArmFault(a, 0);
  ArmFault(b, 1);
  ExpectEffect(SendPackets(), {a, b});
  const auto first = SettledCounters(0), second = Counters(1);
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

  Disarm(0);
  ExpectEffect(SendPackets(), {b});
  EXPECT_EQ(SettledCounters(1).matched(), second.matched() + all);
  EXPECT_EQ(Counters(1).lane_dropped(), 0u);

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
    for (int b = a; b < count; ++b) pairs.emplace_back(a, b);
  }
  return pairs;
}

INSTANTIATE_TEST_SUITE_P(EveryPair, StackTest, testing::ValuesIn(Pairs()), [](const auto& pair) {
  const auto name = [](int index) { return std::string(kFaults[index].kind).substr(8); };
  return name(pair.param.first) + "And" + name(pair.param.second);
});

using RoomTest = DriverTest;

TEST_F(RoomTest, OneMoreThanATargetCanCarryIsRefusedNamingAll) {
  apart_ = true;
  SetTarget(ServerTarget());
  for (unsigned i = 0; i < FL_MAX_RULES_PER_TARGET; ++i) Arm(Loss(1), i);
  const Status refused = TryArm(Loss(1), FL_MAX_RULES_PER_TARGET);
  EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(ToString(refused.message()),
            "target t carries 8 network faults, as many as it can, of e0, e1, e2, e3, e4, e5, e6, "
            "e7: none of e8 fits beside them");
  Disarm(3);
  Arm(Loss(1), FL_MAX_RULES_PER_TARGET);
}

}  // namespace
}  // namespace faultline::netns_test
