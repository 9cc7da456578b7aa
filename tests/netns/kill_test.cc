// A driver's process that is killed: the kernel alone puts everything right. Where it has no TCX
// the filters stay until the guardian takes them away; there the heartbeat's end makes them
// harmless.
#include <map>

#include "base/clock.h"
#include "bpf/probe.h"
#include "netns/forked_driver.h"
#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

using namespace std::chrono_literals;

constexpr uint16_t kPort = 7001;
constexpr uint64_t kHeartbeatNs = 5 * kNanosPerSecond;
constexpr int kAttempts = 100;

struct Fault {
  const char* kind;
  std::map<std::string, std::string> parameters;
  Protocol protocol = Protocol::kUdp;
};

class KillTest : public DriverTest, public testing::WithParamInterface<Fault> {};

TEST_P(KillTest, NothingIsFaultyAndNoDeviceIsLeft) {
  driver_.reset();
  const auto before = network_->Links(network_->server_netns());
  ForkedDriver killed(undo_, [this] {
    MakeDriver();
    SetTarget(ServerTarget());
    ArmKind(GetParam().kind, GetParam().parameters);
    if (!bpf::HasFeature("tcx")) lease_->heartbeat_until_ns = BoottimeNowNs() + kHeartbeatNs;
  });
  EchoServer server(*network_, kPort);
  const auto works = [&](std::chrono::milliseconds patience) {
    const bool tcp = GetParam().protocol == Protocol::kTcp;
    if (tcp && TryConnect(*network_, Network::kServer4, kPort) != 0) return false;
    Client client(*network_, GetParam().protocol, Network::kServer4, kPort);
    client.Send(DnsQuery());
    return client.Receive(DnsQuery().size(), patience) == DnsQuery();
  };
  EXPECT_FALSE(works(150ms));
  killed.Kill();
  bool healed = false;
  for (int i = 0; i < kAttempts && !healed; ++i) {
    healed = works(1s);
    if (!healed) std::this_thread::sleep_for(100ms);
  }
  EXPECT_TRUE(healed);
  EXPECT_EQ(network_->Links(network_->server_netns()), before);
  UndoAll(killed.journal());  // as the guardian does
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, KillTest,
    testing::Values(Fault{"NETWORK_LATENCY", {{"delay_ms", "60000"}}},
                    Fault{"TCP_RESET", {{"tcp_flags", "psh"}}, Protocol::kTcp},
                    Fault{"CONNECT_FAIL", {{"direction", "ingress"}}, Protocol::kTcp},
                    Fault{"DNS_FAULT",
                          {{"direction", "ingress"}, {"names", "*"}, {"local_port", "7001"}}}));

}  // namespace
}  // namespace faultline::netns_test
