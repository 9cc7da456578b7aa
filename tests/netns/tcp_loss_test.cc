// NETWORK_LOSS of TCP, by what the two sockets of a connection count themselves.
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cmath>

#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

using namespace std::chrono_literals;

constexpr uint16_t kPort = 7001;
// About 3,000 segments of an MTU of 1,500, the last one too of more than kLeastBytes.
constexpr size_t kBytes = 4'200'000;
// What carries data, and neither acknowledgements nor what asks whether a window is open again.
constexpr char kLeastBytes[] = "200";
constexpr double kShare = 0.04;

struct Way {
  bool ipv6;
  const char* direction;
};

// A connection to the server, one end of which sends to the other.
class Connection {
 public:
  Connection(const Network& network, Acceptor* acceptor, const Way& way, uint16_t port)
      : client_(network, Protocol::kTcp, way.ipv6 ? Network::kServer6 : Network::kServer4, port),
        server_(acceptor->Accept()),
        client_sends_(way.direction == std::string("ingress")) {
    // Room for everything: whole segments are sent then, and Transfer has only to read.
    const int buffer = 4 * static_cast<int>(kBytes);
    EXPECT_EQ(setsockopt(Sender(), SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer)), 0);
  }

  // Whether so many bytes arrive as they were sent.
  bool Transfer(size_t bytes) {
    std::string data(bytes, '\0');
    for (size_t i = 0; i < bytes; ++i) data[i] = static_cast<char>(i * 2'654'435'761u >> 24);
    EXPECT_EQ(send(Sender(), data.data(), bytes, MSG_NOSIGNAL), static_cast<ssize_t>(bytes));
    return Receive(Receiver(), bytes) == data;
  }
  // Waits until the sender has nothing more to send, not even again, and `holds`.
  void Settle(const std::function<bool()>& holds) const {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while ((Sent().tcpi_unacked != 0 || !holds()) && std::chrono::steady_clock::now() < end) {
      std::this_thread::sleep_for(20ms);
    }
    EXPECT_EQ(Sent().tcpi_unacked, 0u);
  }
  // Segments with data that have gone out of the one socket, and have not come to the other.
  uint32_t Lost() const {
    const uint32_t arrived = InfoOf(Receiver()).tcpi_data_segs_in;
    return Sent().tcpi_data_segs_out - arrived;
  }
  tcp_info Sent() const { return InfoOf(Sender()); }

 private:
  int Sender() const { return client_sends_ ? client_.fd() : server_.get(); }
  int Receiver() const { return client_sends_ ? server_.get() : client_.fd(); }
  static tcp_info InfoOf(int fd) {
    tcp_info info{};
    socklen_t size = sizeof(info);
    EXPECT_EQ(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
    return info;
  }

  Client client_;
  bpf::UniqueFd server_;
  bool client_sends_;
};

class TcpLossTest : public DriverTest, public testing::WithParamInterface<Way> {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    if (!network_) return;
    // A train of segments is one packet, and would be lost whole.
    for (const auto& netns : {network_->server_netns(), network_->client_netns()}) {
      RunProgram({"ip", "-n", netns, "link", "set", Network::kInterface, "gso_max_segs", "1"});
    }
  }
};

TEST_P(TcpLossTest, TheShareAskedIsLostAndSentAgainAndOtherConnectionsLoseNothing) {
  Acceptor acceptor(*network_, kPort), other_acceptor(*network_, kPort + 1);
  Connection hit(*network_, &acceptor, GetParam(), kPort);
  Connection other(*network_, &other_acceptor, GetParam(), kPort + 1);
  SetTarget(ServerTarget({kPort}));
  ArmKind("NETWORK_LOSS", {{"loss_percent", "4"},
                           {"direction", GetParam().direction},
                           {"min_packet_bytes", kLeastBytes}});
  EXPECT_TRUE(hit.Transfer(kBytes));
  EXPECT_TRUE(other.Transfer(kBytes / 10));
  hit.Settle([&] { return hit.Lost() == Counters().dropped(); });
  const uint32_t lost = hit.Lost();
  const auto counters = Counters();
  EXPECT_EQ(counters.dropped(), lost);
  EXPECT_EQ(counters.lane_dropped(), 0u);
  // Five standard deviations of a binomial count: of about 3,100 segments, 124 +- 55.
  const double sent = hit.Sent().tcpi_data_segs_out;
  EXPECT_NEAR(lost, kShare * sent, 5 * std::sqrt(sent * kShare * (1 - kShare)));
  // What arrived late only may have been sent again as well.
  EXPECT_GE(hit.Sent().tcpi_total_retrans, lost);
  other.Settle([&] { return other.Lost() == 0; });
  EXPECT_EQ(other.Lost(), 0u);

  Disarm();
  EXPECT_TRUE(hit.Transfer(kBytes / 10));
  hit.Settle([&] { return hit.Lost() == lost; });
  EXPECT_EQ(hit.Lost(), lost);
}

class TcpTrainTest : public DriverTest, public testing::WithParamInterface<Way> {};

// A fault of the lane, on other packets, has lane devices cut trains for the whole agent.
TEST_P(TcpTrainTest, EveryNthTrainIsLostAlsoWhileSomebodyElsesCorruptionHasTrainsCut) {
  constexpr uint64_t kEvery = 20;
  constexpr uint64_t kMostSegments = 46;  // 64 KiB by the 1,428 bytes of one, at least
  apart_ = true;
  Acceptor acceptor(*network_, kPort);
  SetTarget(ServerTarget({kPort, kPort + 1}));
  for (const bool beside : {false, true}) {
    SCOPED_TRACE(beside ? "beside a corruption" : "alone");
    if (beside) {
      ArmKind("NETWORK_CORRUPT",
              {{"corrupt_percent", "1"}, {"local_port", std::to_string(kPort + 1)}}, 1);
    }
    ArmKind("NETWORK_LOSS", {{"loss_percent", "5"},
                             {"model", "every_nth"},
                             {"direction", GetParam().direction},
                             {"local_port", std::to_string(kPort)},
                             {"min_packet_bytes", kLeastBytes}});
    Connection hit(*network_, &acceptor, GetParam(), kPort);
    EXPECT_TRUE(hit.Transfer(kBytes));
    hit.Settle([] { return true; });
    const auto counters = SettledCounters();
    EXPECT_GT(hit.Sent().tcpi_data_segs_out, counters.matched()) << "there were no trains";
    EXPECT_GT(counters.dropped(), 0u);
    EXPECT_EQ(counters.dropped(), counters.matched() / kEvery);
    EXPECT_GE(hit.Lost(), counters.dropped());
    EXPECT_LE(hit.Lost(), counters.dropped() * kMostSegments);
    Disarm();
    (void)Sample();
  }
}

const auto kWays = testing::Values(Way{false, "ingress"}, Way{false, "egress"},
                                   Way{true, "ingress"}, Way{true, "egress"});

std::string NameOf(const testing::TestParamInfo<Way>& way) {
  return fmt::format("{}{}", way.param.direction, way.param.ipv6 ? "Ipv6" : "Ipv4");
}

INSTANTIATE_TEST_SUITE_P(Ways, TcpLossTest, kWays, NameOf);
INSTANTIATE_TEST_SUITE_P(Ways, TcpTrainTest, kWays, NameOf);

}  // namespace
}  // namespace faultline::netns_test
