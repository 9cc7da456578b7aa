// NETWORK_LATENCY with real packets.
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
