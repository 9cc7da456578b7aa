// What is seen of connections beside request-to-response times, on real connections.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/histogram.h"
#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

namespace pb = ::network::v1;

constexpr uint16_t kPort = 7001;
constexpr uint16_t kClosedPort = 7002;

class ObserveTest : public DriverTest {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    if (network_) server_ = std::make_unique<EchoServer>(*network_, kPort);
  }
  int Connect(const std::string& address, uint16_t port) const {
    return TryConnect(*network_, address, port);
  }
  // Breaks the connection off: its socket sends a reset as it closes.
  static void Abort(const Client& client) {
    const linger at_once{1, 0};
    setsockopt(client.fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  }
  chaos::v1::TrafficDetail Traffic() { return Sample().traffic(); }
  Histogram Handshakes() {
    Histogram histogram;
    EXPECT_TRUE(histogram.Merge(Traffic().handshake()).ok());
    return histogram;
  }

  std::unique_ptr<EchoServer> server_;
};

TEST_F(ObserveTest, EachHandshakeIsTimedOnceOnEitherSide) {
  for (const bool on_server : {true, false}) {
    SetTarget(on_server ? ServerTarget({kPort}) : ClientTarget());
    (void)Sample();
    for (const char* address : {Network::kServer4, Network::kServer6}) {
      for (int i = 0; i < 5; ++i) EXPECT_EQ(Connect(address, kPort), 0);
    }
    const auto traffic = Traffic();
    Histogram histogram;
    ASSERT_TRUE(histogram.Merge(traffic.handshake()).ok());
    EXPECT_EQ(histogram.count(), 10u) << on_server;
    EXPECT_EQ(traffic.unpaired_handshakes(), 0u);
    EXPECT_EQ(traffic.refused_sent() + traffic.refused_received(), 0u);
  }
}

TEST_F(ObserveTest, ADelayOfTheAnsweringSideIsInTheHandshake) {
  SetTarget(ServerTarget({kPort}));
  for (const auto direction : {pb::DIRECTION_EGRESS, pb::DIRECTION_INGRESS}) {
    Arm(Latency(100, direction));
    (void)Sample();
    for (int i = 0; i < 3; ++i) EXPECT_EQ(Connect(Network::kServer4, kPort), 0);
    const Histogram histogram = Handshakes();
    EXPECT_EQ(histogram.count(), 3u);
    EXPECT_GE(histogram.PercentileNs(50), 99e6);
    Disarm();
  }
}

TEST_F(ObserveTest, AClientsHandshakeIncludesItsDelaysBothWays) {
  SetTarget(ClientTarget());
  Arm(Latency(100, pb::DIRECTION_BOTH));
  (void)Sample();
  EXPECT_EQ(Connect(Network::kServer4, kPort), 0);
  const Histogram histogram = Handshakes();
  EXPECT_EQ(histogram.count(), 1u);
  EXPECT_GE(histogram.PercentileNs(50), 198e6);
}

TEST_F(ObserveTest, ARequestThatIsSentAgainIsTimedFromTheFirst) {
  SetTarget(ClientTarget());
  // Longer than the first retransmission timeout of a SYN.
  Arm(Latency(1500));
  (void)Sample();
  EXPECT_EQ(Connect(Network::kServer4, kPort), 0);
  const auto traffic = Traffic();
  Histogram histogram;
  ASSERT_TRUE(histogram.Merge(traffic.handshake()).ok());
  EXPECT_EQ(histogram.count(), 1u);
  EXPECT_GE(histogram.PercentileNs(50), 1480e6);
}

TEST_F(ObserveTest, AnAcceptanceWhoseRequestWasNotSeenIsNotMeasuredAndCounted) {
  SetTarget(ClientTarget());
  (void)Sample();
  // From a server that nobody has asked.
  network_->InServer([] {
    const bpf::UniqueFd raw(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_TCP));
    tcphdr acceptance{};
    acceptance.source = htons(kPort);
    acceptance.dest = htons(4242);
    acceptance.doff = sizeof(acceptance) / 4;
    acceptance.syn = acceptance.ack = 1;
    sockaddr_in client{};
    client.sin_family = AF_INET;
    ASSERT_EQ(inet_pton(AF_INET, Network::kClient4, &client.sin_addr), 1);
    for (int i = 0; i < 3; ++i) {
      ASSERT_EQ(sendto(raw.get(), &acceptance, sizeof(acceptance), 0,
                       reinterpret_cast<const sockaddr*>(&client), sizeof(client)),
                ssize_t{sizeof(acceptance)});
    }
  });
  EXPECT_EQ(Connect(Network::kServer4, kPort), 0);
  const auto traffic = Traffic();
  EXPECT_EQ(traffic.unpaired_handshakes(), 3u);
  Histogram histogram;
  ASSERT_TRUE(histogram.Merge(traffic.handshake()).ok());
  EXPECT_EQ(histogram.count(), 1u) << "the one that was asked for";
}

TEST_F(ObserveTest, ARefusedConnectionIsCountedByWhoRefused) {
  for (const bool on_server : {true, false}) {
    SetTarget(on_server ? ServerTarget() : ClientTarget());
    (void)Sample();
    for (const char* address : {Network::kServer4, Network::kServer6}) {
      EXPECT_EQ(Connect(address, kClosedPort), ECONNREFUSED);
    }
    const auto traffic = Traffic();
    EXPECT_EQ(traffic.refused_sent(), on_server ? 2u : 0u);
    EXPECT_EQ(traffic.refused_received(), on_server ? 0u : 2u);
    EXPECT_EQ(traffic.resets_sent() + traffic.resets_received(), 0u);
    EXPECT_EQ(traffic.handshake().index_size(), 0);
  }
}

TEST_F(ObserveTest, AResetOfAnOpenConnectionIsCountedByWhoSentIt) {
  for (const bool on_server : {true, false}) {
    SetTarget(on_server ? ServerTarget({kPort}) : ClientTarget());
    {
      Client client(*network_, Protocol::kTcp, Network::kServer4, kPort);
      EXPECT_TRUE(client.RoundTrip().has_value());
      (void)Sample();
      Abort(client);
    }
    const auto traffic = SettledTraffic();
    EXPECT_EQ(traffic.resets_sent(), on_server ? 0u : 1u);
    EXPECT_EQ(traffic.resets_received(), on_server ? 1u : 0u);
    EXPECT_EQ(traffic.refused_sent() + traffic.refused_received(), 0u);
  }
}

}  // namespace
}  // namespace faultline::netns_test
