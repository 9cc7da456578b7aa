// CONNECT_FAIL with real connections.
#include <cerrno>
#include <tuple>

#include "base/clock.h"
#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

using testing::HasSubstr;

constexpr uint16_t kPort = 7001, kOtherPort = 7002;
constexpr std::chrono::milliseconds kLost{700};

struct Failure {
  const char* name;
  int error;
  const char* text;  // as curl says it
  int curl_code = 7;
};
constexpr Failure kFailures[] = {
    {"refused", ECONNREFUSED, "Connection refused"},
    {"host_unreachable", EHOSTUNREACH, "No route to host"},
    {"net_unreachable", ENETUNREACH, "Network is unreachable"},
    {"timed_out", ETIMEDOUT, "timeout", 28},
};

class ConnectTest : public DriverTest {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    if (!network_) return;
    server_ = std::make_unique<EchoServer>(*network_, kPort);
    other_ = std::make_unique<EchoServer>(*network_, kOtherPort);
  }
  int Connect(const std::string& address, uint16_t port, std::chrono::milliseconds patience,
              const std::string& netns = "") const {
    return TryConnect(*network_, address, port, patience, netns);
  }
  int Connect(const std::string& address = Network::kServer4, uint16_t port = kPort) const {
    return Connect(address, port, kPatience);
  }

  std::unique_ptr<EchoServer> server_, other_;
};

// Target, failure, address.
using Way = std::tuple<bool, Failure, const char*>;
class EveryWay : public ConnectTest, public testing::WithParamInterface<Way> {};

TEST_P(EveryWay, NewConnectionsFailAsAskedAndThoseThatStandStay) {
  const auto& [server_is_target, failure, address] = GetParam();
  SetTarget(server_is_target ? ServerTarget() : ClientTarget());
  Client standing(*network_, Protocol::kTcp, address, kPort);
  ArmKind("CONNECT_FAIL", {{"failure", failure.name},
                           {"direction", server_is_target ? "ingress" : "egress"},
                           {server_is_target ? "local_port" : "peer_port", "7001"}});
  EXPECT_EQ(Connect(address, kPort, failure.error == ETIMEDOUT ? kLost : kPatience), failure.error);
  EXPECT_EQ(Connect(address, kOtherPort), 0);
  EXPECT_TRUE(standing.RoundTrip());
  const auto counters = SettledCounters();
  EXPECT_GE(counters.connects_failed(), 1u);
  EXPECT_EQ(counters.connects_failed(), counters.matched());
  Disarm();
  EXPECT_EQ(Connect(address), 0);
  EXPECT_TRUE(standing.RoundTrip());
}

INSTANTIATE_TEST_SUITE_P(Ways, EveryWay,
                         testing::Combine(testing::Bool(), testing::ValuesIn(kFailures),
                                          testing::Values(Network::kServer4, Network::kServer6)));

TEST_F(ConnectTest, ItsRefusalsCountAmongTheRefusalsOfTheTarget) {
  constexpr uint64_t kAttempts = 3;
  for (const bool server_is_target : {true, false}) {
    SetTarget(server_is_target ? ServerTarget({kPort}) : ClientTarget());
    ArmKind("CONNECT_FAIL", {{"direction", server_is_target ? "ingress" : "egress"}});
    (void)Sample();
    for (uint64_t i = 0; i < kAttempts; ++i) EXPECT_EQ(Connect(), ECONNREFUSED);
    const auto traffic = SettledTraffic();
    EXPECT_EQ(traffic.refused_sent(), server_is_target ? kAttempts : 0);
    EXPECT_EQ(traffic.refused_received(), server_is_target ? 0 : kAttempts);
    EXPECT_EQ(traffic.resets_sent() + traffic.resets_received(), 0u);
    EXPECT_EQ(Counters().connects_failed(), kAttempts);
    Disarm();
  }
}

TEST_F(ConnectTest, CurlSaysWhyItCannotConnect) {
  SetTarget(ClientTarget());
  for (const Failure& failure : kFailures) {
    ArmKind("CONNECT_FAIL", {{"failure", failure.name}});
    for (const char* host : {Network::kServer4, "[fd00:209::2]"}) {
      int exit_code = 0;
      // An error that comes while the kernel still holds the socket counts when the SYN that is
      // sent again meets it once more, a second later.
      const char* patience_s = failure.error == ETIMEDOUT ? "1" : "10";
      const std::string said =
          RunAnyhow(Network::Inside(network_->client_netns(),
                                    {"curl", "-v", "--stderr", "-", "--connect-timeout", patience_s,
                                     fmt::format("http://{}:7001/", host)}),
                    &exit_code);
      EXPECT_EQ(exit_code, failure.curl_code) << said;
      EXPECT_THAT(said, HasSubstr(failure.text));
    }
  }
}

TEST_F(ConnectTest, AShareOfTheFlowsIsAShareOfTheAttempts) {
  constexpr int kAttempts = 200;
  SetTarget(ClientTarget());
  ArmKind("CONNECT_FAIL", {{"flow_percent", "30"}});
  int failed = 0;
  for (int i = 0; i < kAttempts; ++i) failed += Connect() == ECONNREFUSED;
  // Five standard deviations of a binomial count of 200 at 30 %: 32.
  EXPECT_NEAR(failed, 0.3 * kAttempts, 32);
  EXPECT_EQ(SettledCounters().connects_failed(), static_cast<uint64_t>(failed));
}

TEST_F(ConnectTest, LocalConnectionsFailOnLoopback) {
  chaos::v1::Target target = ServerTarget();
  target.set_interface("lo");
  SetTarget(target);
  for (const Failure& failure : kFailures) {
    ArmKind("CONNECT_FAIL", {{"failure", failure.name}, {"peer_port", "7001"}});
    for (const char* address : {"127.0.0.1", "::1"}) {
      EXPECT_EQ(Connect(address, kPort, failure.error == ETIMEDOUT ? kLost : kPatience,
                        network_->server_netns()),
                failure.error)
          << address << " " << failure.name;
    }
  }
  Disarm();
  EXPECT_EQ(Connect("127.0.0.1", kPort, kPatience, network_->server_netns()), 0);
}

TEST_F(ConnectTest, ConnectionsOpenOnceTheLeaseHasRunOutAndNothingIsLeft) {
  const std::string before = network_->KernelState(network_->server_netns());
  SetTarget(ServerTarget());
  for (const Failure& failure : kFailures) {
    ArmKind("CONNECT_FAIL", {{"failure", failure.name}, {"direction", "ingress"}});
    lease_->heartbeat_until_ns = BoottimeNowNs();
    EXPECT_EQ(Connect(), 0);
    EXPECT_GT(SettledCounters().lease_expired(), 0u);
    HoldLeases();
  }
  ExpectNothingLeft(before);
  EXPECT_EQ(Connect(), 0);
}

}  // namespace
}  // namespace faultline::netns_test
