// Which packets a filter lets a fault have, with real packets.
#include <cerrno>
#include <set>

#include "netns/filter_fixture.h"

namespace faultline::netns_test {
namespace {

using namespace std::chrono_literals;
namespace pb = ::network::v1;

TEST_F(FilterTest, APortRangeHoldsItsPortsAndNoOthers) {
  EchoServer below(*network_, kPort - 1), above(*network_, kPort + 2);
  SetTarget(ServerTarget());
  auto loss = LoseIn();
  loss.mutable_filter()->add_local_port("7001-7002");
  Arm(loss);
  EXPECT_TRUE(IsLost(Protocol::kUdp));
  EXPECT_TRUE(Answers(Protocol::kUdp, Network::kServer4, kPort - 1));
  EXPECT_TRUE(Answers(Protocol::kUdp, Network::kServer4, kPort + 2));
}

TEST_F(FilterTest, APeersPortAloneMeansWhatTheTargetAsksWhateverItServes) {
  constexpr uint16_t kServed = 6379;
  EchoServer other(*network_, kPort + 1);
  SetTarget(ClientTarget({kServed}));
  for (const auto direction : {pb::DIRECTION_EGRESS, pb::DIRECTION_INGRESS}) {
    auto loss = Loss(100, direction);
    loss.mutable_filter()->add_peer_port(std::to_string(kPort));
    Arm(loss);
    EXPECT_TRUE(IsLost(Protocol::kUdp));
    EXPECT_TRUE(IsLost(Protocol::kUdp, Network::kServer6));
    EXPECT_TRUE(Answers(Protocol::kUdp, Network::kServer4, kPort + 1));
    EXPECT_GE(SettledCounters().dropped(), 2u);
    // With a port of its own it is about what it serves there.
    loss.mutable_filter()->add_local_port(std::to_string(kServed));
    Arm(loss);
    EXPECT_TRUE(Answers(Protocol::kUdp));
    Disarm();
  }
}

TEST_F(FilterTest, APayloadPrefixMeansWhatBeginsSoInBothFamilies) {
  SetTarget(ServerTarget());
  auto loss = LoseIn();
  loss.mutable_filter()->set_payload_prefix("lost\\x00");
  Arm(loss);
  for (const char* address : {Network::kServer4, Network::kServer6}) {
    for (const Protocol protocol : {Protocol::kUdp, Protocol::kTcp}) {
      Client client(*network_, protocol, address, kPort);
      for (const std::string& kept : {std::string("lost"), std::string("lost!"), std::string("l"),
                                      std::string("los\0t", 5), std::string(40, 'l')}) {
        client.Send(kept);
        EXPECT_EQ(client.Receive(kept.size()), kept);
      }
      client.Send(std::string("lost\0 and more than thirty-two bytes", 36));
      EXPECT_EQ(client.Receive(1, kLost), "");
    }
  }
  const auto counters = SettledCounters();
  EXPECT_GE(counters.matched(), 4u);  // TCP sends again
  EXPECT_EQ(counters.matched(), counters.dropped());
}

// The beginning of an HTTP/2 connection, and nothing else on its port.
TEST_F(FilterTest, NewHttp2ConnectionsAreResetByTheirPreface) {
  SetTarget(ServerTarget());
  Client old(*network_, Protocol::kTcp, Network::kServer4, kPort);
  ASSERT_TRUE(old.RoundTrip());
  ArmKind("TCP_RESET", {{"direction", "ingress"}, {"payload_prefix", "PRI * HTTP/2.0"}});
  EXPECT_TRUE(old.RoundTrip());
  EXPECT_TRUE(Answers(Protocol::kTcp));
  Client fresh(*network_, Protocol::kTcp, Network::kServer4, kPort);
  fresh.Send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  EXPECT_EQ(ErrorOf(fresh.fd()), ECONNRESET);
  EXPECT_TRUE(old.RoundTrip());
}

TEST_F(FilterTest, ExcludedPeersAreLeftAloneWhateverElseMatches) {
  SetTarget(ServerTarget());
  auto loss = LoseIn();
  loss.mutable_filter()->add_exclude_peer_cidr("10.209.0.0/24");
  Arm(loss);
  EXPECT_TRUE(Answers(Protocol::kUdp));
  EXPECT_TRUE(IsLost(Protocol::kUdp, Network::kServer6));
  // An excluded network within an included one, and the reverse.
  loss.mutable_filter()->add_peer_cidr("10.0.0.0/8");
  Arm(loss);
  EXPECT_TRUE(Answers(Protocol::kUdp));
  EXPECT_TRUE(Answers(Protocol::kUdp, Network::kServer6));
  loss.mutable_filter()->clear_exclude_peer_cidr();
  loss.mutable_filter()->add_exclude_peer_cidr("10.208.0.0/15");
  loss.mutable_filter()->set_peer_cidr(0, Network::kClient4);
  Arm(loss);
  EXPECT_TRUE(Answers(Protocol::kUdp));
  loss.mutable_filter()->clear_exclude_peer_cidr();
  Arm(loss);
  EXPECT_TRUE(IsLost(Protocol::kUdp));
}

TEST_F(FilterTest, TcpFlagsTellOpeningsFromWhatIsOpen) {
  SetTarget(ServerTarget());
  Client open(*network_, Protocol::kTcp, Network::kServer4, kPort);
  ASSERT_TRUE(open.RoundTrip());
  auto loss = LoseIn();
  for (const char* flag : {"syn", "!ack"}) loss.mutable_filter()->add_tcp_flags(flag);
  Arm(loss);
  EXPECT_TRUE(open.RoundTrip());
  EXPECT_TRUE(IsCutOff(kPort));
  EXPECT_TRUE(Answers(Protocol::kUdp));
  loss.mutable_filter()->clear_tcp_flags();
  loss.mutable_filter()->add_tcp_flags("!syn");
  loss.mutable_filter()->add_tcp_flags("psh");
  Arm(loss);
  EXPECT_TRUE(Connects(kPort));
  EXPECT_FALSE(open.RoundTrip(kLost));
}

// Whichever way the rule looks, and whoever is the target: one of the two that open a connection
// comes by.
TEST_F(FilterTest, NewConnectionsAndThoseThatWereOpenAreToldApart) {
  constexpr double kDelayMs = 200;
  const auto is_late = [](Client& client) {
    const auto took = client.RoundTrip();
    return took.has_value() && took->count() >= kDelayMs;
  };
  for (const bool server : {true, false}) {
    for (const auto direction : {pb::DIRECTION_INGRESS, pb::DIRECTION_EGRESS}) {
      for (const char* address : {Network::kServer4, Network::kServer6}) {
        SCOPED_TRACE(fmt::format("{} {} {}", server ? "server" : "client",
                                 direction == pb::DIRECTION_EGRESS ? "egress" : "ingress",
                                 address));
        SetTarget(server ? ServerTarget() : ClientTarget());
        Client before(*network_, Protocol::kTcp, address, kPort);
        ASSERT_TRUE(before.RoundTrip());
        auto latency = Latency(kDelayMs, direction);
        latency.mutable_filter()->set_connections(pb::CONNECTIONS_NEW);
        Arm(latency);
        Client after(*network_, Protocol::kTcp, address, kPort);
        EXPECT_TRUE(is_late(after));
        EXPECT_TRUE(before.AnswersBefore(kDelayMs));
        // The same fault with another filter: what was new to it is so still.
        latency.mutable_filter()->set_connections(pb::CONNECTIONS_ESTABLISHED);
        Arm(latency);
        EXPECT_TRUE(is_late(before));
        EXPECT_TRUE(after.AnswersBefore(kDelayMs));
        EXPECT_TRUE(Answers(Protocol::kUdp, address));
        Disarm();
        // To a fault that comes later both were open.
        Arm(latency);
        EXPECT_TRUE(is_late(before));
        EXPECT_TRUE(is_late(after));
        Disarm();
      }
    }
  }
}

TEST_F(FilterTest, DscpHoldsInBothFamilies) {
  SetTarget(ServerTarget());
  auto loss = LoseIn();
  loss.mutable_filter()->add_dscp(46);
  loss.mutable_filter()->add_dscp(8);
  Arm(loss);
  for (const char* address : {Network::kServer4, Network::kServer6}) {
    EXPECT_TRUE(Pings({address}));
    EXPECT_TRUE(LosesPing({"-Q", "0xb8", address}));  // 46 << 2
    EXPECT_TRUE(LosesPing({"-Q", "0x20", address}));  // 8 << 2
    EXPECT_TRUE(Pings({"-Q", "0x28", address}));      // 10 << 2
  }
}

TEST_F(FilterTest, SizesAreThoseOfTheIpPacket) {
  SetTarget(ServerTarget());
  auto loss = LoseIn();
  loss.mutable_filter()->set_min_packet_bytes(100);
  loss.mutable_filter()->set_max_packet_bytes(200);
  Arm(loss);
  // A ping's own bytes, and 8 of ICMP and 20 (40) of IP.
  for (const auto& [header, address] :
       {std::pair{28, Network::kServer4}, {48, Network::kServer6}}) {
    for (const auto& [bytes, passes] :
         {std::pair{99, true}, {100, false}, {200, false}, {201, true}}) {
      const std::vector<std::string> ping = {"-s", std::to_string(bytes - header), address};
      EXPECT_TRUE(passes ? Pings(ping) : LosesPing(ping)) << bytes << " bytes to " << address;
    }
  }
}

TEST_F(FilterTest, AShareOfThePacketsIsTheSameShareWithTheSameSeed) {
  constexpr int kPackets = 4000;
  SetTarget(ServerTarget({kPort}));
  auto loss = LoseIn();
  loss.mutable_filter()->set_packet_percent(25);
  std::vector<uint64_t> matched;
  for (int run = 0; run < 2; ++run) {
    Arm(loss, 0, /*seed=*/9);
    Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
    client.SendInOrder(kPackets, [](int) { return "x"; });
    matched.push_back(SettledCounters().matched());
    EXPECT_EQ(Counters().dropped(), matched.back());
    Disarm();
    (void)Sample();
  }
  // 1000 +- 6 standard deviations of a binomial count (27.4).
  EXPECT_NEAR(static_cast<double>(matched[0]), 1000, 165);
  EXPECT_EQ(matched[0], matched[1]);
}

TEST_F(FilterTest, AShareOfTheFlowsIsHitWholeAndTheSameWithTheSameSeed) {
  constexpr int kFlows = 60, kPackets = 4;
  constexpr uint16_t kFirstPort = 20'000;
  SetTarget(ServerTarget({kPort}));
  auto loss = LoseIn();
  loss.mutable_filter()->set_flow_percent(50);
  std::vector<std::set<int>> hit(2);
  for (auto& flows : hit) {
    Arm(loss, 0, /*seed=*/9);
    uint64_t before = 0;
    for (int flow = 0; flow < kFlows; ++flow) {
      Client client(*network_, Protocol::kUdp, Network::kServer4, kPort,
                    static_cast<uint16_t>(kFirstPort + flow));
      for (int i = 0; i < kPackets; ++i) client.Send("x");
      const uint64_t after = SettledCounters().matched(), lost = after - before;
      before = after;
      EXPECT_TRUE(lost == 0 || lost == kPackets) << lost << " of flow " << flow;
      if (lost > 0) flows.insert(flow);
    }
    Disarm();
    (void)Sample();
  }
  // 30 +- 6 standard deviations of a binomial count (3.9).
  EXPECT_NEAR(static_cast<double>(hit[0].size()), 30, 24);
  EXPECT_EQ(hit[0], hit[1]);
}

TEST_F(FilterTest, AShareOfThePeersIsHitWhateverTheyDo) {
  constexpr int kPeers = 60;
  SetTarget(ServerTarget());
  const auto address = [](int peer) { return "fd00:209::1:" + std::to_string(peer); };
  for (int peer = 1; peer <= kPeers; ++peer) {
    Ip(network_->client_netns(),
       {"addr", "add", address(peer) + "/64", "dev", Network::kInterface, "nodad"});
  }
  auto loss = LoseIn();
  loss.mutable_filter()->set_protocol(pb::PROTOCOL_ICMP);
  // Not the kernel's own reports of multicast groups.
  loss.mutable_filter()->add_peer_cidr("fd00:209::1:0/112");
  loss.set_loss_percent(0);  // counted, not lost
  loss.mutable_filter()->set_peer_percent(50);
  Arm(loss);
  int hit = 0;
  for (int peer = 1; peer <= kPeers; ++peer) {
    const uint64_t before = Counters().matched();
    ASSERT_TRUE(Pings({"-I", address(peer), Network::kServer6}));
    ASSERT_TRUE(Pings({"-I", address(peer), Network::kServer6}));
    const uint64_t matched = Counters().matched() - before;
    EXPECT_TRUE(matched == 0 || matched == 2) << matched << " of peer " << peer;
    hit += matched > 0 ? 1 : 0;
  }
  // 30 +- 6 standard deviations of a binomial count (3.9).
  EXPECT_NEAR(hit, 30, 24);
}

TEST_F(FilterTest, HostsAreTheirAddressesOnceTheyAreResolved) {
  SetTarget(ServerTarget());
  auto loss = LoseIn();
  loss.mutable_filter()->add_peer_host("10.209.0.1");
  Status armed = TryArm(loss);
  for (int i = 0; i < 100 && armed.code() == StatusCode::kUnavailable; ++i) {
    std::this_thread::sleep_for(50ms);
    armed = TryArm(loss);
  }
  ASSERT_TRUE(armed.ok()) << armed;
  EXPECT_TRUE(IsLost(Protocol::kUdp));
  EXPECT_TRUE(Answers(Protocol::kUdp, Network::kServer6));
}

}  // namespace
}  // namespace faultline::netns_test
