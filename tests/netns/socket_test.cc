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
  // Segments sent again in a namespace: what the target's samples say from here on, once it is as
  // much as the kernel's own count beyond `before`. Connections that have ended send again, too.
  uint64_t ExpectAsTheKernel(const std::string& netns, uint64_t before = 0) {
    uint64_t told = 0, counted = 0;
    const auto end = std::chrono::steady_clock::now() + kPatience;
    do {
      told += Sample().traffic().retransmits();
      counted = KernelCount(netns, "TcpRetransSegs") - before;
    } while (told != counted && std::chrono::steady_clock::now() < end);
    EXPECT_EQ(told, counted);
    return counted;
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
    SCOPED_TRACE(on_server);
    const uint64_t before = KernelCount(netns, "TcpRetransSegs");
    for (int i = 0; i < 5; ++i) Talk(6, 20'000);
    Disarm();
    Talk(1, 1'000);
    EXPECT_GT(ExpectAsTheKernel(netns, before), 0u);
  }
}

TEST_F(SocketTest, NothingIsCalledSentAgainWhereNothingIsLost) {
  SetTarget(ServerTarget({kPort}));
  (void)Sample();
  Talk(20, 100'000);
  (void)ExpectAsTheKernel(network_->server_netns());
}

TEST_F(SocketTest, ADelayIsInTheSmoothedRoundTripTime) {
  SetTarget(ClientTarget());
  (void)Sample();
  Talk(3, 100);
  Histogram histogram;
  ASSERT_TRUE(histogram.Merge(Sample().traffic().smoothed_rtt()).ok());
  EXPECT_THAT(histogram.count(), OrSentAgain(3));
  Arm(Latency(100));
  Talk(3, 100);
  histogram.Clear();
  ASSERT_TRUE(histogram.Merge(Sample().traffic().smoothed_rtt()).ok());
  EXPECT_THAT(histogram.count(), OrSentAgain(3));
  EXPECT_GE(histogram.PercentileNs(1), 99e6);
}

}  // namespace
}  // namespace faultline::netns_test
