// TCP_RESET with real connections.
#include <sys/socket.h>

#include <cerrno>
#include <tuple>

#include "base/clock.h"
#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

using namespace std::chrono_literals;

constexpr uint16_t kPort = 7001, kOtherPort = 7002;

// A connection of the client to the server that has carried a byte each way.
struct Connection {
  Connection(const Network& network, Acceptor* acceptor, const std::string& address, uint16_t port)
      : client(network, Protocol::kTcp, address, port), server(acceptor->Accept()) {
    EXPECT_TRUE(Works());
  }
  bool Works() const {
    for (const auto& [from, to] :
         {std::pair(client.fd(), server.get()), std::pair(server.get(), client.fd())}) {
      if (send(from, "x", 1, MSG_NOSIGNAL) != 1 || ErrorOf(to) != 0) return false;
    }
    return true;
  }

  Client client;
  bpf::UniqueFd server;
};

class ResetTest : public DriverTest {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    if (network_) acceptor_ = std::make_unique<Acceptor>(*network_, kPort);
  }
  Connection Connect(const std::string& address = Network::kServer4) {
    return Connection(*network_, acceptor_.get(), address, kPort);
  }

  std::unique_ptr<Acceptor> acceptor_;
};

// Target, direction, address.
using Way = std::tuple<bool, const char*, const char*>;
class EveryWay : public ResetTest, public testing::WithParamInterface<Way> {};

TEST_P(EveryWay, BothEndsSeeTheirConnectionResetAndOthersStay) {
  const auto [server_is_target, direction, address] = GetParam();
  const bool server_sends = server_is_target == (direction == std::string("egress"));
  SetTarget(server_is_target ? ServerTarget() : ClientTarget());
  Acceptor other_acceptor(*network_, kOtherPort);
  const Connection hit = Connect(address);
  const Connection other(*network_, &other_acceptor, address, kOtherPort);
  ArmKind("TCP_RESET", {{"direction", direction},
                        {server_is_target ? "local_port" : "peer_port", std::to_string(kPort)}});
  EXPECT_TRUE(other.Works());
  const int sender = server_sends ? hit.server.get() : hit.client.fd();
  ASSERT_EQ(send(sender, "data", 4, MSG_NOSIGNAL), 4);
  EXPECT_EQ(ErrorOf(hit.server.get()), ECONNRESET);
  EXPECT_EQ(ErrorOf(hit.client.fd()), ECONNRESET);
  EXPECT_TRUE(other.Works());
  const auto counters = SettledCounters();
  EXPECT_GE(counters.resets(), 1u);
  EXPECT_EQ(counters.resets(), counters.matched());
  EXPECT_EQ(counters.lane_dropped(), 0u);
  Disarm();
  EXPECT_TRUE(Connect(address).Works());
}

INSTANTIATE_TEST_SUITE_P(Ways, EveryWay,
                         testing::Combine(testing::Bool(), testing::Values("egress", "ingress"),
                                          testing::Values(Network::kServer4, Network::kServer6)));

TEST_F(ResetTest, ItsResetsCountAmongTheResetsOfTheTarget) {
  SetTarget(ServerTarget({kPort}));
  const Connection hit = Connect();
  ArmKind("TCP_RESET", {{"direction", "egress"}});
  (void)Sample();
  ASSERT_EQ(send(hit.server.get(), "data", 4, MSG_NOSIGNAL), 4);
  EXPECT_EQ(ErrorOf(hit.client.fd()), ECONNRESET);
  EXPECT_EQ(ErrorOf(hit.server.get()), ECONNRESET);
  const auto traffic = SettledTraffic();
  const uint64_t made = SettledCounters().resets();
  const auto once = OrSentAgain(1);
  // One to each end; which of them a fault has made, its own counter says.
  EXPECT_THAT(traffic.resets_sent(), once);
  EXPECT_THAT(traffic.resets_received(), once);
  EXPECT_EQ(traffic.refused_sent() + traffic.refused_received(), 0u);
  EXPECT_EQ(static_cast<uint64_t>(traffic.events_size()) + traffic.events_lost(),
            traffic.resets_sent() + traffic.resets_received())
      << traffic.DebugString();
  EXPECT_THAT(made, once);
}

TEST_F(ResetTest, AConnectionThatIsBusyBothWaysIsResetOnBothEnds) {
  SetTarget(ServerTarget({kPort}));
  const Connection busy = Connect();
  const auto pump = [](int fd, int* error) {
    const std::string block(64 * 1024, 'b');
    std::string sink(1 << 20, '\0');
    while (*error == 0) {
      if (send(fd, block.data(), block.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
          errno != EAGAIN) {
        *error = errno;
      }
      if (recv(fd, sink.data(), sink.size(), MSG_DONTWAIT) < 0 && errno != EAGAIN) *error = errno;
    }
  };
  int client_error = 0, server_error = 0;
  std::thread client(pump, busy.client.fd(), &client_error);
  std::thread server(pump, busy.server.get(), &server_error);
  std::this_thread::sleep_for(100ms);
  ArmKind("TCP_RESET", {{"direction", "both"}, {"packet_percent", "1"}});
  client.join();
  server.join();
  // Whoever writes to a connection that it has not yet read the reset of is told so.
  EXPECT_THAT(client_error, testing::AnyOf(ECONNRESET, EPIPE));
  EXPECT_THAT(server_error, testing::AnyOf(ECONNRESET, EPIPE));
}

TEST_F(ResetTest, CurlSaysThatItsConnectionWasReset) {
  acceptor_.reset();
  const Process server(Network::Inside(network_->server_netns(),
                                       {"busybox", "httpd", "-f", "-p", "7001", "-h", "/etc"}));
  SetTarget(ClientTarget());
  const auto curl = [&](const char* host) {
    int exit_code = 0;
    RunAnyhow(
        Network::Inside(network_->client_netns(),
                        {"curl", "-sS", "-o", "/dev/null", "--retry-connrefused", "--retry", "5",
                         "--max-time", "10", fmt::format("http://{}:7001/protocols", host)}),
        &exit_code);
    return exit_code;
  };
  constexpr int kGotNoData = 56;  // curl's "failure in receiving network data"
  for (const char* host : {Network::kServer4, "[fd00:209::2]"}) {
    EXPECT_EQ(curl(host), 0);
    ArmKind("TCP_RESET", {{"tcp_flags", "psh"}, {"peer_port", "7001"}});
    EXPECT_EQ(curl(host), kGotNoData);
    Disarm();
    EXPECT_EQ(curl(host), 0);
  }
}

TEST_F(ResetTest, ALocalConnectionIsResetOnLoopback) {
  chaos::v1::Target target = ServerTarget({kPort});
  target.set_interface("lo");
  SetTarget(target);
  for (const char* address : {"127.0.0.1", "::1"}) {
    Client client(*network_, Protocol::kTcp, address, kPort, 0, network_->server_netns());
    const bpf::UniqueFd server = acceptor_->Accept();
    ArmKind("TCP_RESET", {{"tcp_flags", "psh"}});
    ASSERT_EQ(send(server.get(), "data", 4, MSG_NOSIGNAL), 4);
    EXPECT_EQ(ErrorOf(client.fd()), ECONNRESET);
    EXPECT_EQ(ErrorOf(server.get()), ECONNRESET);
    Disarm();
  }
}

TEST_F(ResetTest, AConnectionSurvivesOnceTheLeasesHaveRunOutAndNothingIsLeft) {
  const std::string before = network_->KernelState(network_->server_netns());
  SetTarget(ServerTarget());
  const Connection connection = Connect();
  for (const auto lease :
       {&faults::LeasePage::heartbeat_until_ns, &faults::LeasePage::control_until_ns}) {
    lease_->*lease = BoottimeNowNs();
    ArmKind("TCP_RESET", {{"direction", "both"}});
    EXPECT_TRUE(connection.Works());
    EXPECT_GT(SettledCounters().lease_expired(), 0u);
    Disarm();
    (void)Sample();
    HoldLeases();
  }
  ExpectNothingLeft(before);
  EXPECT_TRUE(connection.Works());
}

}  // namespace
}  // namespace faultline::netns_test
