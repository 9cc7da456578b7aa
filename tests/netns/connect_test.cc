// CONNECT_FAIL with real connections.
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <fstream>
#include <tuple>

#include "base/clock.h"
#include "netns/cgroup.h"
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

  // What a connect() that waits tells the client; EINPROGRESS for nothing within a minute.
  int WaitingConnect(const std::string& address) const {
    sockaddr_in6 peer{};
    peer.sin6_family = AF_INET6;
    peer.sin6_port = htons(kPort);
    const bool ipv6 = address.find(':') != std::string::npos;
    EXPECT_EQ(inet_pton(AF_INET6, (ipv6 ? address : "::ffff:" + address).c_str(), &peer.sin6_addr),
              1);
    int error = 0;
    network_->InClient([&] {
      const bpf::UniqueFd fd(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
      constexpr timeval kLongest{.tv_sec = 60, .tv_usec = 0};
      setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &kLongest, sizeof(kLongest));
      if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&peer), sizeof(peer)) != 0)
        error = errno;
    });
    return error;
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

using Waiting = std::tuple<Failure, const char*>;
class EveryFailure : public ConnectTest, public testing::WithParamInterface<Waiting> {};

TEST_P(EveryFailure, AConnectThatWaitsIsToldTheSame) {
  const auto& [failure, address] = GetParam();
  if (failure.error == ETIMEDOUT) {
    // The client's kernel gives up after one SYN that it has sent again, of both families.
    network_->InClient([] {
      std::ofstream("/proc/sys/net/ipv4/tcp_syn_retries") << 1;
      int retries = 0;
      std::ifstream("/proc/sys/net/ipv4/tcp_syn_retries") >> retries;
      EXPECT_EQ(retries, 1);
    });
  }
  SetTarget(ClientTarget());
  ArmKind("CONNECT_FAIL", {{"failure", failure.name}});
  EXPECT_EQ(WaitingConnect(address), failure.error);
  EXPECT_GE(SettledCounters().connects_failed(), 1u);
  Disarm();
  EXPECT_EQ(WaitingConnect(address), 0);
}

INSTANTIATE_TEST_SUITE_P(Failures, EveryFailure,
                         testing::Combine(testing::ValuesIn(kFailures),
                                          testing::Values(Network::kServer4, Network::kServer6)));

TEST_F(ConnectTest, OfACgroupOnlyItsOwnConnectsAndThoseToItFail) {
  constexpr uint16_t kInsidePort = 7003;
  const OwnCgroup cgroup;
  if (!cgroup.why().empty()) GTEST_SKIP() << cgroup.why();
  cgroup.EnterInner();
  const EchoServer inside(*network_, kInsidePort);
  cgroup.Leave();
  for (const Failure& failure : kFailures) {
    const auto patience = failure.error == ETIMEDOUT ? kLost : kPatience;
    chaos::v1::Target target = ClientTarget();
    target.set_cgroup(cgroup.name());
    SetTarget(target);
    ArmKind("CONNECT_FAIL", {{"failure", failure.name}});
    cgroup.EnterInner();
    const int from_inside = Connect(Network::kServer4, kPort, patience);
    cgroup.Leave();
    EXPECT_EQ(from_inside, failure.error) << failure.name;
    EXPECT_EQ(Connect(), 0) << failure.name;
    Disarm();

    target = ServerTarget();
    target.set_cgroup(cgroup.name());
    SetTarget(target);
    ArmKind("CONNECT_FAIL", {{"failure", failure.name}, {"direction", "ingress"}});
    EXPECT_EQ(Connect(Network::kServer4, kInsidePort, patience), failure.error) << failure.name;
    EXPECT_EQ(Connect(), 0) << failure.name;
    Disarm();
  }
}

// The ports of a target are those on which it serves: what it opens leaves by others.
TEST_F(ConnectTest, ThePortsOfATargetNarrowWhatComesToItAndNotWhatItOpens) {
  constexpr uint16_t kServed = 6379;
  SetTarget(ClientTarget({kServed}));
  ArmKind("CONNECT_FAIL", {{"peer_port", std::to_string(kPort)}});
  EXPECT_EQ(Connect(), ECONNREFUSED);
  EXPECT_EQ(Connect(Network::kServer4, kOtherPort), 0);
  ArmKind("CONNECT_FAIL", {});
  EXPECT_EQ(Connect(Network::kServer4, kOtherPort), ECONNREFUSED);
  EXPECT_GE(SettledCounters().connects_failed(), 1u);
  Disarm();
  SetTarget(ServerTarget({kPort}));
  ArmKind("CONNECT_FAIL", {{"direction", "ingress"}});
  EXPECT_EQ(Connect(), ECONNREFUSED);
  EXPECT_EQ(Connect(Network::kServer4, kOtherPort), 0);
}

TEST_F(ConnectTest, ItsRefusalsCountAmongTheRefusalsOfTheTarget) {
  constexpr uint64_t kAttempts = 3;
  for (const bool server_is_target : {true, false}) {
    SetTarget(server_is_target ? ServerTarget({kPort}) : ClientTarget());
    ArmKind("CONNECT_FAIL", {{"direction", server_is_target ? "ingress" : "egress"}});
    (void)Sample();
    for (uint64_t i = 0; i < kAttempts; ++i) EXPECT_EQ(Connect(), ECONNREFUSED);
    const auto traffic = SettledTraffic();
    const uint64_t failed = SettledCounters().connects_failed();
    const testing::Matcher<uint64_t> each = OrSentAgain(kAttempts), none = testing::Eq(0u);
    EXPECT_THAT(traffic.refused_sent(), server_is_target ? each : none);
    EXPECT_THAT(traffic.refused_received(), server_is_target ? none : each);
    EXPECT_EQ(traffic.resets_sent() + traffic.resets_received(), 0u);
    EXPECT_THAT(failed, each);
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
  constexpr int kAttempts = 400;
  SetTarget(ClientTarget());
  ArmKind("CONNECT_FAIL", {{"flow_percent", "30"}});
  uint64_t failed = 0;
  for (int i = 0; i < kAttempts; ++i) failed += Connect() == ECONNREFUSED ? 1 : 0;
  // Six standard deviations of a binomial count of 400 at 30 %: 55. The ports are the kernel's
  // choice, so it is another count each time.
  EXPECT_NEAR(static_cast<double>(failed), 0.3 * kAttempts, 55);
  const uint64_t counted = SettledCounters().connects_failed();
  EXPECT_THAT(counted, OrSentAgain(failed));
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
