// The lane under load: data arrives whole and in order.
#include "faults/network/lane.h"

#include <sys/socket.h>

#include <algorithm>
#include <cmath>
#include <thread>

#include "netns/one_processor.h"
#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

using namespace std::chrono_literals;
namespace pb = ::network::v1;

constexpr uint16_t kPort = 7001;

class LaneTest : public DriverTest {};

class EveryLaneTest : public DriverTest, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override { SetUpWithLane(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Lanes, EveryLaneTest, testing::Values("tap", "fq"),
                         [](const auto& lane) { return std::string(lane.param); });

// Bytes that no shift or swap of blocks leaves the same.
std::string Pattern(size_t bytes) {
  std::string text(bytes, '\0');
  uint32_t state = 12345;
  for (char& c : text) c = static_cast<char>((state = state * 1664525u + 1013904223u) >> 24);
  return text;
}

TEST_P(EveryLaneTest, BulkTcpWithSegmentationOffloadArrivesIntact) {
  EchoServer server(*network_, kPort);
  SetTarget(ServerTarget({kPort}));
  const std::string data = Pattern(size_t{8} << 20);
  for (const char* address : {Network::kServer4, Network::kServer6}) {
    Client client(*network_, Protocol::kTcp, address, kPort);
    Arm(Latency(2, pb::DIRECTION_BOTH));
    std::thread sender([&] {
      for (size_t done = 0; done < data.size();) {
        const ssize_t sent = send(client.fd(), data.data() + done, data.size() - done, 0);
        if (sent <= 0) return;
        done += static_cast<size_t>(sent);
      }
    });
    const std::string back = client.Receive(data.size());
    sender.join();
    EXPECT_EQ(back.size(), data.size());
    EXPECT_TRUE(back == data);
    const auto counters = Counters();
    EXPECT_EQ(counters.lane_dropped(), 0u);
    // Packets kept whole: with all acknowledgements fewer than 16 MiB in segments of 1448 bytes.
    EXPECT_LT(counters.delayed(), 2 * data.size() / 1448);
    Disarm();
    (void)Sample();
  }
}

TEST_F(LaneTest, JitterKeepsAFlowsOrderAndItsMean) {
  constexpr int kPackets = 400;
  const OneProcessor in_order;  // as far as the lane
  EchoServer server(*network_, kPort);
  SetTarget(ServerTarget({kPort}));
  auto latency = Latency(20);
  latency.set_jitter_ms(10);
  latency.set_distribution(pb::DISTRIBUTION_NORMAL);
  Arm(latency);
  Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
  for (int i = 0; i < kPackets; ++i) {
    client.Send(fmt::format("{:06}", i));
    std::this_thread::sleep_for(500us);
  }
  const std::string answers = client.Receive(6 * kPackets);
  ASSERT_EQ(answers.size(), size_t{6} * kPackets);
  for (int i = 0; i < kPackets; ++i) {
    ASSERT_EQ(answers.substr(static_cast<size_t>(i) * 6, 6), fmt::format("{:06}", i));
  }
  const auto counters = Counters();
  // What was drawn: 20 ms, clamped at 0, within five standard errors.
  EXPECT_NEAR(static_cast<double>(counters.delay_asked_ns()) / kPackets / 1e6, 20, 2.6);
  EXPECT_GE(counters.delay_given_ns(), counters.delay_asked_ns());
}

TEST_F(LaneTest, EveryShapeOfJitterKeepsTheMeanAndTheOrder) {
  constexpr int kPackets = 2000;
  Sink sink(*network_, kPort);
  SetTarget(ServerTarget({kPort}));
  for (const std::map<std::string, std::string>& shape :
       {std::map<std::string, std::string>{{"distribution", "uniform"}},
        {{"distribution", "normal"}, {"correlation_percent", "50"}},
        {{"distribution", "pareto"}},
        {{"distribution", "table"}, {"table_us", "100,100,120,150,900"}}}) {
    auto parameters = shape;
    parameters.insert({{"delay_ms", "100"}, {"jitter_ms", "20"}, {"direction", "ingress"}});
    ArmKind("NETWORK_LATENCY", parameters);
    Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
    client.SendInOrder(kPackets, [](int i) { return fmt::format("{:06}", i); });
    const auto arrived = sink.Take(kPackets, kPatience);
    EXPECT_EQ(arrived.size(), size_t{kPackets});
    EXPECT_TRUE(std::ranges::is_sorted(arrived));
    const auto counters = SettledCounters();
    EXPECT_EQ(counters.delayed(), static_cast<uint64_t>(kPackets));
    // Five standard errors of the mean of 2000 draws with deviation 20, those with correlation 0.5
    // as uncertain as a third as many.
    const double mean_ms = static_cast<double>(counters.delay_asked_ns()) / kPackets / 1e6;
    EXPECT_NEAR(mean_ms, 100, 5 * 20 * std::sqrt(3.0 / kPackets)) << shape.at("distribution");
    EXPECT_GE(counters.delay_given_ns(), counters.delay_asked_ns());
    Disarm();
    (void)Sample();
  }
}

TEST_F(LaneTest, DelaysOfSeveralFaultsAddUpAndGoOneByOne) {
  EchoServer server(*network_, kPort);
  SetTarget(ServerTarget({kPort}));
  Arm(Latency(200), 0);
  Arm(Latency(300), 1);
  Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
  EXPECT_GE(client.RoundTrip()->count(), 500);
  Disarm(0);
  EXPECT_GE(client.RoundTrip()->count(), 300);
  EXPECT_TRUE(client.AnswersBefore(500));
}

TEST_F(LaneTest, AFullLaneDropsCountsWhatItDropsAndRecovers) {
  constexpr size_t kBytes = 14'000;
  constexpr size_t kPackets = network::Lane::kMaxHeldBytes / kBytes * 5 / 4;
  for (const auto& netns : {network_->server_netns(), network_->client_netns()}) {
    RunProgram({"ip", "-n", netns, "link", "set", Network::kInterface, "mtu", "15000"});
  }
  EchoServer server(*network_, kPort);
  SetTarget(ServerTarget({kPort}));
  Arm(Latency(60'000, pb::DIRECTION_INGRESS));
  Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
  client.SendInOrder(static_cast<int>(kPackets), [](int) { return std::string(kBytes, 'x'); });
  // What the kernel sent to the lane and is not held any more has been dropped, and is counted.
  chaos::v1::FaultCounters counters;
  for (int i = 0; i < 200; ++i) {
    counters = Counters();
    if ((counters.delayed() - counters.lane_dropped()) * kBytes <= network::Lane::kMaxHeldBytes) {
      break;
    }
    std::this_thread::sleep_for(20ms);
  }
  EXPECT_EQ(counters.delayed(), kPackets);
  EXPECT_GE(counters.lane_dropped(), kPackets - network::Lane::kMaxHeldBytes / kBytes);
  EXPECT_LT(counters.lane_dropped(), kPackets);
  Disarm();
  Arm(Latency(300, pb::DIRECTION_INGRESS), 1);
  Client later(*network_, Protocol::kTcp, Network::kServer4, kPort);
  const auto time = later.RoundTrip();
  ASSERT_TRUE(time.has_value());
  EXPECT_GE(time->count(), 300);
  EXPECT_EQ(Counters(1).lane_dropped(), 0u);
}

TEST_P(EveryLaneTest, VlanTaggedPacketsKeepTheirTag) {
  for (const auto& [netns, address] : {std::pair{network_->server_netns(), "10.210.0.2/24"},
                                       std::pair{network_->client_netns(), "10.210.0.1/24"}}) {
    int exit_code = 0;
    RunAnyhow(
        {"ip", "-n", netns, "link", "add", "link", "eth0", "name", "v7", "type", "vlan", "id", "7"},
        &exit_code);
    if (exit_code != 0) GTEST_SKIP() << "the kernel has no VLAN devices";
    RunProgram({"ip", "-n", netns, "addr", "add", address, "dev", "v7"});
    RunProgram({"ip", "-n", netns, "link", "set", "v7", "up"});
  }
  EchoServer server(*network_, kPort);
  SetTarget(ServerTarget());
  Arm(Latency(300, pb::DIRECTION_BOTH));
  Client client(*network_, Protocol::kUdp, "10.210.0.2", kPort);
  const auto time = client.RoundTrip();
  ASSERT_TRUE(time.has_value());
  EXPECT_GE(time->count(), 600);
}

}  // namespace
}  // namespace faultline::netns_test
