// What a tunnel carries: at the interface outside its packets are the tunnel's own, at the tunnel's
// interface they are what they are.
#include "netns/filter_fixture.h"

namespace faultline::netns_test {
namespace {

using namespace std::chrono_literals;
namespace pb = ::network::v1;

constexpr char kTunnel[] = "vx0";
constexpr uint16_t kVxlanPort = 4789;
constexpr char kInnerServer[] = "10.211.0.2";
constexpr double kDelayMs = 300;

// A VXLAN tunnel between the two namespaces, over their veth pair.
class TunnelTest : public FilterTest {
 protected:
  void SetUp() override {
    FilterTest::SetUp();
    if (!network_) return;
    const struct {
      const std::string& netns;
      const char* here;
      const char* there;
      const char* inner;
    } ends[] = {{network_->server_netns(), Network::kServer4, Network::kClient4, "10.211.0.2/24"},
                {network_->client_netns(), Network::kClient4, Network::kServer4, "10.211.0.1/24"}};
    for (const auto& end : ends) {
      int exit_code = 0;
      RunAnyhow({"ip", "-n", end.netns, "link", "add", kTunnel, "type", "vxlan", "id", "7", "local",
                 end.here, "remote", end.there, "dstport", std::to_string(kVxlanPort), "dev",
                 Network::kInterface},
                &exit_code);
      if (exit_code != 0) GTEST_SKIP() << "the kernel has no VXLAN devices";
      RunBatch({"ip", "-n", end.netns}, {fmt::format("addr add {} dev {}", end.inner, kTunnel),
                                         fmt::format("link set {} up", kTunnel)});
    }
    EXPECT_TRUE(Eventually([this] {
      return Client(*network_, Protocol::kUdp, kInnerServer, kPort).RoundTrip(1s).has_value();
    }));
  }
};

// On the way in the tunnel's port is the target's, on the way out its peer's.
TEST_F(TunnelTest, AFaultOfItsPortOutsideHitsWhatItCarries) {
  SetTarget(ServerTarget());
  for (const auto direction : {pb::DIRECTION_INGRESS, pb::DIRECTION_EGRESS}) {
    const auto for_tunnel = [direction](pb::TrafficFilter* filter) {
      filter->set_protocol(pb::PROTOCOL_UDP);
      direction == pb::DIRECTION_INGRESS ? filter->add_local_port(std::to_string(kVxlanPort))
                                         : filter->add_peer_port(std::to_string(kVxlanPort));
    };
    auto loss = Loss(100, direction);
    for_tunnel(loss.mutable_filter());
    Arm(loss);
    EXPECT_TRUE(IsLost(Protocol::kUdp, kInnerServer));
    EXPECT_TRUE(Answers(Protocol::kUdp, Network::kServer4));
    EXPECT_GE(SettledCounters().dropped(), 1u);
    auto latency = Latency(kDelayMs, direction);
    for_tunnel(latency.mutable_filter());
    Arm(latency);
    for (const Protocol protocol : {Protocol::kUdp, Protocol::kTcp}) {
      Client client(*network_, protocol, kInnerServer, kPort);
      const auto time = client.RoundTrip();
      ASSERT_TRUE(time.has_value());
      EXPECT_GE(time->count(), kDelayMs);
    }
    Disarm();
    (void)Sample();
    EXPECT_TRUE(Answers(Protocol::kUdp, kInnerServer));
  }
}

TEST_F(TunnelTest, AFaultOfAPortInsideHitsItAtTheTunnelsInterfaceOnly) {
  chaos::v1::Target inside = ServerTarget();
  inside.set_interface(kTunnel);
  for (const chaos::v1::Target& target : {ServerTarget(), inside}) {
    SetTarget(target);
    auto loss = LoseIn();
    loss.mutable_filter()->add_local_port(std::to_string(kPort));
    Arm(loss);
    const bool is_tunnel = target.interface() == kTunnel;
    EXPECT_TRUE(IsLost(Protocol::kUdp, is_tunnel ? kInnerServer : Network::kServer4));
    EXPECT_TRUE(Answers(Protocol::kUdp, is_tunnel ? Network::kServer4 : kInnerServer));
    EXPECT_TRUE(Answers(Protocol::kTcp, is_tunnel ? Network::kServer4 : kInnerServer));
    EXPECT_EQ(CountersOnce([](const auto& now) { return now.dropped() > 0; }).dropped(), 1u);
  }
}

}  // namespace
}  // namespace faultline::netns_test
