// What the lane holds: not when a lease has run out, and not longer than a fault may.
#include "base/clock.h"
#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

using namespace std::chrono_literals;
namespace pb = ::network::v1;
using testing::HasSubstr;

constexpr uint16_t kPort = 7001;
constexpr double kLongMs = 60'000;

class HeldTest : public DriverTest {
 protected:
  void SetUp() override { SetUpWithLane("tap"); }

  // Sends it and waits until the lane has it.
  void SendHeld(Client* client, const std::string& bytes) {
    const uint64_t before = driver_->Load().held_packets;
    client->Send(bytes);
    ASSERT_TRUE(Eventually([&] { return driver_->Load().held_packets > before; }));
  }
};

TEST_F(HeldTest, GoesOutInOrderWhenALeaseHasRunOut) {
  for (const auto lease :
       {&faults::LeasePage::heartbeat_until_ns, &faults::LeasePage::control_until_ns}) {
    EchoServer server(*network_, kPort);
    SetTarget(ServerTarget({kPort}));
    Arm(Latency(kLongMs, pb::DIRECTION_INGRESS));
    Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
    SendHeld(&client, "first");
    SendHeld(&client, "second");
    EXPECT_EQ(client.Receive(5, 100ms), "");
    (lease_->*lease) = 0;
    EXPECT_EQ(client.Receive(11), "firstsecond");
    EXPECT_EQ(driver_->Load().held_packets, 0u);
    const auto counters = Counters();
    EXPECT_EQ(counters.delayed(), 2u);
    EXPECT_EQ(counters.delays_measured(), 0u) << "how long they waited is no fault's delay";
    Disarm();
    HoldLeases();
  }
}

TEST_F(HeldTest, NoLongerThanOneFaultMayWhateverTheyAddUpTo) {
  apart_ = true;
  SetTarget(ServerTarget({kPort}));
  Arm(Latency(40'000, pb::DIRECTION_INGRESS), 0);
  const Status refused = TryArm(Latency(30'000, pb::DIRECTION_BOTH), 1);
  EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(ToString(refused.message()),
              HasSubstr("the faults of e0 hold ingress packets back by 40000 ms, and e1 would by "
                        "30000 ms more: 70000 ms altogether, of at most 60000 ms"));
  Arm(Latency(30'000, pb::DIRECTION_EGRESS), 1);
  EXPECT_FALSE(
      TryArmKind("NETWORK_REORDER", {{"reorder_percent", "1"}, {"hold_ms", "30001"}}, 2).ok());
  ArmKind("NETWORK_LOSS", {{"loss_percent", "1"}, {"direction", "both"}}, 3);
  // The same fault with another delay counts once.
  Arm(Latency(60'000, pb::DIRECTION_INGRESS), 0);
  Disarm(0);
  Arm(Latency(30'000, pb::DIRECTION_BOTH), 1);
}

}  // namespace
}  // namespace faultline::netns_test
