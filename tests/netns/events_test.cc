// Rare events, told one by one while there is room, and counted whether or not there is.
#include "faults/network/events.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>

#include "base/clock.h"
#include "bpf/probe.h"
#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

using chaos::v1::TrafficDetail;
using chaos::v1::TrafficEvent;
using testing::HasSubstr;

constexpr uint16_t kPort = 7001;
constexpr uint16_t kClosedPort = 7009;
// Told of each type between two readings.
constexpr uint64_t kMost = FL_TELL_MOST;

uint64_t Counted(const TrafficDetail& traffic) {
  uint64_t count = traffic.refused_sent() + traffic.refused_received() + traffic.resets_sent() +
                   traffic.resets_received() + traffic.failed_handshakes() +
                   traffic.failed_connections();
  for (const auto& [reason, drops] : traffic.kernel_drops()) count += drops;
  return count;
}
uint64_t Told(const TrafficDetail& traffic) { return static_cast<uint64_t>(traffic.events_size()); }

class EventsTest : public DriverTest {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    const Status status = bpf::RequireFeature("drop_reasons");
    if (network_ && !status.ok()) GTEST_SKIP() << status.message();
  }
  TrafficDetail Traffic() { return Sample().traffic(); }
  // The one of that type.
  TrafficEvent OnlyEvent(chaos::v1::TrafficEventType type) {
    const TrafficDetail traffic = Traffic();
    EXPECT_EQ(Told(traffic) + traffic.events_lost(), Counted(traffic));
    std::vector<TrafficEvent> found;
    std::copy_if(traffic.events().begin(), traffic.events().end(), std::back_inserter(found),
                 [type](const TrafficEvent& event) { return event.type() == type; });
    EXPECT_EQ(found.size(), 1u) << traffic.DebugString();
    return found.size() == 1 ? found[0] : TrafficEvent();
  }
  // Datagrams to a port of the server that nobody listens on, from a socket that is not told.
  void Flood(uint16_t port, uint64_t datagrams) {
    network_->InClient([&] {
      const bpf::UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_port = htons(port);
      to.sin_addr.s_addr = htonl(0x0ad10002);  // kServer4
      for (uint64_t i = 0; i < datagrams; ++i) {
        ASSERT_EQ(sendto(fd.get(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&to), sizeof(to)),
                  1);
        if (i % 500 == 0) AwaitQueues();
      }
    });
    AwaitQueues();
  }
  // What the server's own kernel counts.
  uint64_t DatagramsForNobody() {
    std::string text;
    network_->InServer([&] {
      std::ostringstream all;
      all << std::ifstream("/proc/thread-self/net/snmp").rdbuf();
      text = all.str();
    });
    uint64_t received = 0, no_ports = 0;
    std::istringstream(text.substr(text.find("Udp: ", text.find("Udp: ") + 1) + 5)) >> received >>
        no_ports;
    return no_ports;
  }
};

TEST_F(EventsTest, AreToldWithTheirTimeConnectionAndReason) {
  SetTarget(ServerTarget({kClosedPort}));
  (void)Sample();
  const int64_t before_ns = UnixNowNs();
  EXPECT_EQ(TryConnect(*network_, Network::kServer4, kClosedPort), ECONNREFUSED);
  const TrafficEvent refused = OnlyEvent(chaos::v1::TRAFFIC_EVENT_TYPE_REFUSED);
  EXPECT_TRUE(refused.sent());
  EXPECT_EQ(refused.protocol(), "tcp");
  EXPECT_EQ(refused.local_address(), Network::kServer4);
  EXPECT_EQ(refused.local_port(), kClosedPort);
  EXPECT_EQ(refused.peer_address(), Network::kClient4);
  EXPECT_GT(refused.peer_port(), 0u);
  EXPECT_EQ(refused.reason(), "");
  EXPECT_GE(refused.timestamp_ns(), before_ns);
  EXPECT_LE(refused.timestamp_ns(), UnixNowNs());

  Client(*network_, Protocol::kUdp, Network::kServer6, kClosedPort, 4242).Send("anybody?");
  const TrafficEvent drop = OnlyEvent(chaos::v1::TRAFFIC_EVENT_TYPE_KERNEL_DROP);
  EXPECT_FALSE(drop.sent());
  EXPECT_EQ(drop.protocol(), "udp");
  EXPECT_EQ(drop.local_address(), Network::kServer6);
  EXPECT_EQ(drop.local_port(), kClosedPort);
  EXPECT_EQ(drop.peer_address(), Network::kClient6);
  EXPECT_EQ(drop.peer_port(), 4242u);
  EXPECT_EQ(drop.reason(), "NO_SOCKET");
}

TEST_F(EventsTest, TellWhichEndResetAConnection) {
  Acceptor acceptor(*network_, kPort);
  SetTarget(ServerTarget({kPort}));
  for (const bool by_server : {true, false}) {
    std::optional<Client> client;
    client.emplace(*network_, Protocol::kTcp, Network::kServer4, kPort);
    bpf::UniqueFd server = acceptor.Accept();
    (void)Sample();
    const linger at_once{1, 0};
    setsockopt(by_server ? server.get() : client->fd(), SOL_SOCKET, SO_LINGER, &at_once,
               sizeof(at_once));
    if (by_server) {
      server.Reset();
      EXPECT_EQ(ErrorOf(client->fd()), ECONNRESET);
    } else {
      client.reset();
      EXPECT_EQ(ErrorOf(server.get()), ECONNRESET);
    }
    const TrafficEvent reset = OnlyEvent(chaos::v1::TRAFFIC_EVENT_TYPE_RESET);
    EXPECT_EQ(reset.sent(), by_server);
    EXPECT_EQ(reset.local_port(), kPort);
  }
}

TEST_F(EventsTest, ANeverAcceptedConnectionOfTheTargetsOwnHasFailed) {
  Acceptor acceptor(*network_, kPort);
  SetTarget(ClientTarget());
  Arm(Loss(100));
  (void)Sample();
  for (const char* address : {Network::kServer4, Network::kServer6}) {
    EXPECT_EQ(TryConnect(*network_, address, kPort, std::chrono::milliseconds{50}), ETIMEDOUT);
    const TrafficEvent failed = OnlyEvent(chaos::v1::TRAFFIC_EVENT_TYPE_FAILED);
    EXPECT_EQ(failed.peer_address(), address);
    EXPECT_EQ(failed.peer_port(), kPort);
    EXPECT_GT(failed.local_port(), 0u);
    EXPECT_EQ(failed.reason(), "handshake: its program gave up");
  }
}

TEST_F(EventsTest, AConnectionThatNothingComesBackOnHasFailed) {
  Acceptor acceptor(*network_, kPort);
  SetTarget(ClientTarget());
  const Client client(*network_, Protocol::kTcp, Network::kServer4, kPort);
  const unsigned patience_ms = 300;
  ASSERT_EQ(
      setsockopt(client.fd(), IPPROTO_TCP, TCP_USER_TIMEOUT, &patience_ms, sizeof(patience_ms)), 0);
  Arm(Loss(100));
  (void)Sample();
  ASSERT_EQ(send(client.fd(), "x", 1, 0), 1);
  EXPECT_EQ(ErrorOf(client.fd()), ETIMEDOUT);
  EXPECT_THAT(OnlyEvent(chaos::v1::TRAFFIC_EVENT_TYPE_FAILED).reason(),
              HasSubstr("connection: Connection timed out"));
}

TEST_F(EventsTest, AFloodIsCountedExactlyHidesNoOtherEventAndTellsOfItsFirstOnes) {
  constexpr uint64_t kDatagrams = 20'000;
  SetTarget(ServerTarget({kClosedPort}));
  (void)Sample();
  const uint64_t before = DatagramsForNobody();
  Flood(kClosedPort, kDatagrams / 2);
  EXPECT_EQ(TryConnect(*network_, Network::kServer4, kClosedPort), ECONNREFUSED);
  Flood(kClosedPort, kDatagrams / 2);
  const uint64_t truth = DatagramsForNobody() - before;
  EXPECT_EQ(truth, kDatagrams);
  const TrafficDetail traffic = Traffic();
  EXPECT_EQ(traffic.refused_sent(), 1u);
  EXPECT_EQ(traffic.kernel_drops().at("NO_SOCKET"), truth + 1) << "the request that was refused";
  std::map<int, uint64_t> by_type;
  for (const TrafficEvent& event : traffic.events()) ++by_type[event.type()];
  EXPECT_EQ(by_type[chaos::v1::TRAFFIC_EVENT_TYPE_KERNEL_DROP], kMost);
  EXPECT_EQ(by_type[chaos::v1::TRAFFIC_EVENT_TYPE_REFUSED], 1u);
  EXPECT_GT(traffic.events_lost(), 0u);
  EXPECT_EQ(Told(traffic) + traffic.events_lost(), Counted(traffic));
  // The next reading has room again.
  Flood(kClosedPort, 3);
  const TrafficDetail after = Traffic();
  EXPECT_EQ(after.events_size(), 3);
  EXPECT_EQ(after.events_lost(), 0u);
}

TEST_F(EventsTest, WhatTheRingHasNoRoomForIsLostAndCounted) {
  // More than it holds, although each target's are few.
  constexpr uint64_t kTargets = 100;
  static_assert(kTargets * kMost * (sizeof(fl_event) + 8) > FL_EVENT_RING_BYTES);
  std::vector<chaos::v1::Target> targets;
  for (uint32_t i = 0; i < kTargets; ++i) {
    targets.push_back(ServerTarget({kClosedPort + i}));
    targets.back().set_target_id("t" + std::to_string(i));
  }
  for (const Status& status : driver_->SetTargets(targets)) ASSERT_TRUE(status.ok()) << status;
  std::vector<chaos::v1::TargetSample> samples;
  driver_->ReadSamples(&samples);
  samples.clear();
  for (uint16_t i = 0; i < kTargets; ++i) Flood(static_cast<uint16_t>(kClosedPort + i), kMost);
  driver_->ReadSamples(&samples);
  ASSERT_EQ(samples.size(), kTargets);
  uint64_t told = 0, lost = 0;
  for (const auto& sample : samples) {
    const TrafficDetail& traffic = sample.traffic();
    EXPECT_EQ(traffic.kernel_drops().at("NO_SOCKET"), kMost) << sample.target_id();
    EXPECT_EQ(Told(traffic) + traffic.events_lost(), kMost) << sample.target_id();
    told += Told(traffic);
    lost += traffic.events_lost();
    for (const TrafficEvent& event : traffic.events()) {
      EXPECT_EQ("t" + std::to_string(event.local_port() - kClosedPort), sample.target_id());
    }
  }
  EXPECT_GT(lost, 0u);
  EXPECT_LE(told, FL_EVENT_RING_BYTES / (sizeof(fl_event) + 8));
}

TEST_F(EventsTest, OfATargetThatIsGoneAreNotToldOfTheNextOne) {
  SetTarget(ServerTarget({kClosedPort}));
  Flood(kClosedPort, 3);
  SetTarget(ServerTarget({kPort}));
  EXPECT_EQ(Traffic().events_size(), 0);
}

}  // namespace
}  // namespace faultline::netns_test
