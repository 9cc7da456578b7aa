// NETWORK_LATENCY with real packets.
#include <poll.h>

#include <tuple>

#include "base/clock.h"
#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

using namespace std::chrono_literals;
namespace pb = ::network::v1;

constexpr uint16_t kPort = 7001;
constexpr double kDelayMs = 300;
// What is not delayed comes back long before this, however slow the machine.
constexpr double kUntouchedMs = 250;

class LatencyTest : public DriverTest {
 protected:
  double RoundTripMs(Client& client) {
    const auto time = client.RoundTrip();
    EXPECT_TRUE(time.has_value());
    return time ? time->count() : -1;
  }
};

// Of each family two sockets that are connected to each other, and so a flow in each direction.
TEST_F(LatencyTest, FifteenSecondsAreWaitedOutInEachDirectionOfBothFamilies) {
  constexpr double kLongMs = 15'000;
  constexpr uint64_t kLongNs = 15 * kNanosPerSecond;
  constexpr auto kLongPatience = 60s;
  const std::tuple<const char*, const char*, uint16_t> families[] = {
      {Network::kServer4, Network::kClient4, kPort},
      {Network::kServer6, Network::kClient6, kPort + 1}};
  std::vector<Client> ends;
  for (const auto& [server, client, port] : families) {
    ends.emplace_back(*network_, Protocol::kUdp, server, port, port);
    ends.emplace_back(*network_, Protocol::kUdp, client, port, port, network_->server_netns());
  }
  SetTarget(ServerTarget());
  auto latency = Latency(kLongMs, pb::DIRECTION_BOTH);
  latency.mutable_filter()->set_protocol(pb::PROTOCOL_UDP);
  Arm(latency);
  const uint64_t sent_ns = BoottimeNowNs();
  std::vector<pollfd> waits;
  for (Client& end : ends) {
    end.Send("x");
    waits.push_back({end.fd(), POLLIN, 0});
  }
  EXPECT_GT(poll(waits.data(), waits.size(), static_cast<int>(kLongPatience / 1ms)), 0);
  EXPECT_GE(BoottimeNowNs() - sent_ns, kLongNs) << "the first";
  for (Client& end : ends) EXPECT_EQ(end.Receive(1, kLongPatience), "x");
  const auto counters = SettledCounters();
  EXPECT_EQ(counters.delays_measured(), ends.size());
  EXPECT_GE(counters.delay_given_ns(), ends.size() * kLongNs);
  EXPECT_EQ(counters.lane_dropped(), 0u);
}

using Way = std::tuple<const char*, Protocol, bool, pb::Direction>;

class EveryWay : public LatencyTest, public testing::WithParamInterface<Way> {
 protected:
  void SetUp() override { SetUpWithLane(std::get<0>(GetParam())); }
};

TEST_P(EveryWay, TheDelayAskedIsAddedAndGoesWithTheFault) {
  const auto [lane, protocol, ipv6, direction] = GetParam();
  EchoServer server(*network_, kPort);
  SetTarget(ServerTarget());
  Client client(*network_, protocol, ipv6 ? Network::kServer6 : Network::kServer4, kPort);
  EXPECT_TRUE(client.AnswersBefore(kUntouchedMs));

  Arm(Latency(kDelayMs, direction));
  const double times = direction == pb::DIRECTION_BOTH ? 2 : 1;
  EXPECT_GE(RoundTripMs(client), times * kDelayMs);
  EXPECT_TRUE(client.AnswersBefore(1.9 * times * kDelayMs));  // not added twice
  const auto counters = SettledCounters();
  EXPECT_GE(counters.matched(), times);
  EXPECT_EQ(counters.delayed(), counters.matched());
  EXPECT_EQ(counters.delays_measured(), counters.delayed());
  EXPECT_GE(counters.delay_given_ns(), counters.delay_asked_ns());
  EXPECT_EQ(counters.lane_dropped(), 0u);

  Disarm();
  EXPECT_TRUE(client.AnswersBefore(kUntouchedMs));
}

INSTANTIATE_TEST_SUITE_P(
    All, EveryWay,
    testing::Combine(testing::Values("tap", "fq"),
                     testing::Values(Protocol::kTcp, Protocol::kUdp, Protocol::kIcmp),
                     testing::Bool(),
                     testing::Values(pb::DIRECTION_EGRESS, pb::DIRECTION_INGRESS,
                                     pb::DIRECTION_BOTH)));

}  // namespace
}  // namespace faultline::netns_test
