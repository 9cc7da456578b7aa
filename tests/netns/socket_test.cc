// What the target's own sockets know: segments sent again, round-trip time.
#include "base/histogram.h"
#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

constexpr uint16_t kPort = 7001;

class SocketTest : public DriverTest {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    if (network_) server_ = std::make_unique<EchoServer>(*network_, kPort);
  }
  // The kernel's own count of segments sent again in a namespace.
  static uint64_t RetransSegs(const std::string& netns) {
    return KernelCount(netns, "TcpRetransSegs");
  }
  void Talk(int rounds, size_t bytes) {
    Client client(*network_, Protocol::kTcp, Network::kServer4, kPort);
    for (int i = 0; i < rounds; ++i) {
      client.Send(std::string(bytes, 'x'));
      EXPECT_EQ(client.Receive(bytes).size(), bytes);
    }
  }

  std::unique_ptr<EchoServer> server_;
};

TEST_F(SocketTest, CountsWhatIsSentAgainAsTheKernelDoes) {
  for (const bool on_server : {true, false}) {
    SetTarget(on_server ? ServerTarget({kPort}) : ClientTarget());
    const std::string& netns = on_server ? network_->server_netns() : network_->client_netns();
    Arm(Loss(15));
    (void)Sample();
    const uint64_t before = RetransSegs(netns);
    for (int i = 0; i < 5; ++i) Talk(6, 20'000);
    Disarm();
    Talk(1, 1'000);
    const uint64_t again = RetransSegs(netns) - before;
    EXPECT_GT(again, 0u);
    EXPECT_EQ(Sample().traffic().retransmits(), again) << on_server;
  }
}

TEST_F(SocketTest, NothingIsCalledSentAgainWhereNothingIsLost) {
  SetTarget(ServerTarget({kPort}));
  (void)Sample();
  Talk(20, 100'000);
  EXPECT_EQ(Sample().traffic().retransmits(), RetransSegs(network_->server_netns()));
}

TEST_F(SocketTest, ADelayIsInTheSmoothedRoundTripTime) {
  SetTarget(ClientTarget());
  (void)Sample();
  Talk(3, 100);
  Histogram histogram;
  ASSERT_TRUE(histogram.Merge(Sample().traffic().smoothed_rtt()).ok());
  EXPECT_EQ(histogram.count(), 3u);
  Arm(Latency(100));
  Talk(3, 100);
  histogram.Clear();
  ASSERT_TRUE(histogram.Merge(Sample().traffic().smoothed_rtt()).ok());
  EXPECT_EQ(histogram.count(), 3u);
  EXPECT_GE(histogram.PercentileNs(1), 99e6);
}

}  // namespace
}  // namespace faultline::netns_test
