// NETWORK_BLACKHOLE and NETWORK_PARTITION with real packets.
#include <sys/socket.h>

#include <cerrno>
#include <tuple>

#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr uint16_t kPort = 7001;
constexpr auto kLost = 150ms;
constexpr auto kResent = 60s;

class PartitionTest : public DriverTest {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    if (!network_) return;
    server_ = std::make_unique<EchoServer>(*network_, kPort);
    SetTarget(ServerTarget());
  }
  bool Answers(Protocol protocol, const char* address = Network::kServer4,
               std::chrono::milliseconds patience = kPatience) {
    Client client(*network_, protocol, address, kPort);
    return client.RoundTrip(patience).has_value();
  }
  bool IsLost(Protocol protocol, const char* address = Network::kServer4) {
    return !Answers(protocol, address, kLost);
  }
  void ArmPartition(const std::string& groups, const std::string& ways = "both") {
    ArmKind("NETWORK_PARTITION", {{"groups", groups}, {"ways", ways}});
  }
  // Whether one datagram of the client arrives, or does not.
  bool Arrives(std::chrono::milliseconds patience = kPatience) {
    Sink sink(*network_, kPort + 1);
    Client client(*network_, Protocol::kUdp, Network::kServer4, kPort + 1);
    client.Send("x");
    return !sink.Take(1, patience).empty();
  }
  bool Vanishes() { return !Arrives(kLost); }

  std::unique_ptr<EchoServer> server_;
};

TEST_F(PartitionTest, ABlackholeSwallowsEachWayAskedOfEveryProtocolAndHeals) {
  for (const char* direction : {"egress", "ingress", "both"}) {
    ArmKind("NETWORK_BLACKHOLE", {{"direction", direction}});
    for (const char* address : {Network::kServer4, Network::kServer6}) {
      EXPECT_TRUE(IsLost(Protocol::kUdp, address)) << direction;
      EXPECT_TRUE(IsLost(Protocol::kIcmp, address)) << direction;
    }
    EXPECT_TRUE(direction == std::string("egress") ? Arrives() : Vanishes()) << direction;
    const auto counters = SettledCounters();
    // Without its neighbour discovery IPv6 may send nothing else.
    EXPECT_GE(counters.dropped(), 2u);
    EXPECT_EQ(counters.dropped(), counters.matched());
    Disarm();
    EXPECT_TRUE(Answers(Protocol::kUdp));
    EXPECT_TRUE(Answers(Protocol::kTcp, Network::kServer6));
    (void)Sample();
  }
}

TEST_F(PartitionTest, ABlackholeHasFilters) {
  ArmKind("NETWORK_BLACKHOLE", {{"protocol", "udp"}});
  EXPECT_TRUE(IsLost(Protocol::kUdp));
  EXPECT_TRUE(Answers(Protocol::kTcp));
  EXPECT_TRUE(Answers(Protocol::kIcmp));
}

TEST_F(PartitionTest, GroupsArePartedBothWaysAndOnlyThey) {
  ArmPartition("10.209.0.2+fd00:209::2,10.209.0.1");
  EXPECT_TRUE(IsLost(Protocol::kUdp));
  EXPECT_TRUE(IsLost(Protocol::kIcmp));
  EXPECT_TRUE(Vanishes());
  // The client's IPv6 address is in no group.
  EXPECT_TRUE(Answers(Protocol::kUdp, Network::kServer6));
  Disarm();
  EXPECT_TRUE(Answers(Protocol::kUdp));
}

TEST_F(PartitionTest, MoreGroupsAreAllPartedFromTheTargets) {
  ArmPartition("10.9.0.0/16,fd00:209::1,10.209.0.2+fd00:209::2,10.209.0.0/31");
  EXPECT_TRUE(IsLost(Protocol::kUdp));
  EXPECT_TRUE(IsLost(Protocol::kUdp, Network::kServer6));
}

TEST_F(PartitionTest, ForwardLosesWhatTheFirstGroupSendsToTheSecond) {
  ArmPartition("10.209.0.1,10.209.0.2", "forward");
  EXPECT_TRUE(Vanishes());
  ArmPartition("10.209.0.2,10.209.0.1", "forward");
  EXPECT_TRUE(Arrives());
  EXPECT_TRUE(IsLost(Protocol::kUdp));
}

TEST_F(PartitionTest, OnlyWhatItsFilterMeansIsLost) {
  std::map<std::string, std::string> parameters{{"groups", "10.209.0.2,10.209.0.1"},
                                                {"local_port", std::to_string(kPort)}};
  ArmKind("NETWORK_PARTITION", parameters);
  EXPECT_TRUE(IsLost(Protocol::kUdp));
  EXPECT_TRUE(Answers(Protocol::kIcmp));
  EXPECT_TRUE(Arrives());
  parameters["protocol"] = "tcp";
  parameters["payload_prefix"] = "no request begins so";
  ArmKind("NETWORK_PARTITION", parameters);
  EXPECT_TRUE(Answers(Protocol::kUdp));
  EXPECT_TRUE(Answers(Protocol::kTcp));
}

TEST_F(PartitionTest, TheDefaultGatewayIsPartedWhenAskedFor) {
  RunProgram(
      {"ip", "-n", network_->server_netns(), "route", "add", "default", "via", Network::kClient4});
  std::map<std::string, std::string> parameters{{"groups", "10.209.0.2,10.209.0.1"}};
  const Status status = TryArmKind("NETWORK_PARTITION", parameters);
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(ToString(status.message()), HasSubstr("groups '10.209.0.2,10.209.0.1' names no"));
  ArmPartition("10.209.0.2,10.209.0.0/31");
  EXPECT_TRUE(LookUntil(ServerTarget(), [this] { return !IsLost(Protocol::kUdp); }));
  parameters["include_protected"] = "true";
  ArmKind("NETWORK_PARTITION", parameters);
  EXPECT_TRUE(IsLost(Protocol::kUdp));
}

TEST_F(PartitionTest, ATargetsOwnAddressesDecideItsGroup) {
  chaos::v1::Target target = ServerTarget();
  target.add_addresses(Network::kServer6);
  SetTarget(target);
  ArmPartition("fd00:209::2+10.209.0.2,fd00:209::1+10.209.0.1");
  EXPECT_TRUE(IsLost(Protocol::kUdp, Network::kServer6));
  EXPECT_TRUE(Answers(Protocol::kUdp));
}

TEST_F(PartitionTest, ATargetInNoGroupOrInSeveralIsRefusedWithASentence) {
  for (const auto& [groups, found] :
       std::map<std::string, std::string>{{"10.9.0.1,10.9.0.2", "in 0 of the groups"},
                                          {"10.209.0.2,fd00:209::2", "in 2 of the groups"}}) {
    const Status status = TryArmKind("NETWORK_PARTITION", {{"groups", groups}});
    EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
    EXPECT_THAT(ToString(status.message()), HasSubstr(found));
  }
  EXPECT_TRUE(driver_->Armed().empty());
}

TEST_F(PartitionTest, LeavesNothing) {
  driver_->SetTargets({});
  MakeDriver();
  const std::string before = network_->KernelState(network_->server_netns());
  SetTarget(ServerTarget());
  ArmPartition("10.209.0.2,10.209.0.1");
  EXPECT_TRUE(IsLost(Protocol::kUdp));
  ExpectNothingLeft(before);
  EXPECT_TRUE(Answers(Protocol::kUdp));
}

// Which way nothing of a connection gets through, as the server, which is the target, is asked for.
struct Cut {
  const char* name;
  const char* kind;
  std::map<std::string, std::string> parameters;
  bool to_server, to_client;
};

constexpr char kClientFirst[] = "10.209.0.1+fd00:209::1,10.209.0.2+fd00:209::2";
constexpr char kServerFirst[] = "10.209.0.2+fd00:209::2,10.209.0.1+fd00:209::1";

const Cut kCuts[] = {
    {"PartedBothWays", "NETWORK_PARTITION", {{"groups", kClientFirst}}, true, true},
    {"PartedForwardToTheServer",
     "NETWORK_PARTITION",
     {{"groups", kClientFirst}, {"ways", "forward"}},
     true,
     false},
    {"PartedForwardToTheClient",
     "NETWORK_PARTITION",
     {{"groups", kServerFirst}, {"ways", "forward"}},
     false,
     true},
    {"BlackholeBothWays", "NETWORK_BLACKHOLE", {{"direction", "both"}}, true, true},
    {"BlackholeIngress", "NETWORK_BLACKHOLE", {{"direction", "ingress"}}, true, false},
    {"BlackholeEgress", "NETWORK_BLACKHOLE", {{"direction", "egress"}}, false, true},
};

class TcpCutTest : public PartitionTest,
                   public testing::WithParamInterface<std::tuple<Cut, const char*>> {};

TEST_P(TcpCutTest, NothingOfAConnectionGetsThroughThatWayUntilItHeals) {
  const auto& [cut, address] = GetParam();
  const std::string request = "request", answer = "answer";
  Acceptor acceptor(*network_, kPort + 1);
  Client client(*network_, Protocol::kTcp, address, kPort + 1);
  const bpf::UniqueFd server = acceptor.Accept();
  ArmKind(cut.kind, cut.parameters);
  client.Send(request);
  ASSERT_EQ(send(server.get(), answer.data(), answer.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(answer.size()));
  EXPECT_EQ(Receive(server.get(), request.size(), cut.to_server ? kLost : kPatience),
            cut.to_server ? "" : request);
  EXPECT_EQ(client.Receive(answer.size(), cut.to_client ? kLost : kPatience),
            cut.to_client ? "" : answer);
  // Its opening, or what accepts it.
  EXPECT_EQ(TryConnect(*network_, address, kPort, kLost), ETIMEDOUT);
  const auto counters = SettledCounters();
  // That of the standing connection and of the new one, each way that is cut and has any.
  EXPECT_GE(counters.dropped(), cut.to_server && cut.to_client ? 3u : 2u);
  EXPECT_EQ(counters.dropped(), counters.matched());
  Disarm();
  // TCP sends it again, after as long again as that took at the most.
  if (cut.to_server) {
    EXPECT_EQ(Receive(server.get(), request.size(), kResent), request);
  }
  if (cut.to_client) {
    EXPECT_EQ(client.Receive(answer.size(), kResent), answer);
  }
  EXPECT_EQ(TryConnect(*network_, address, kPort), 0);
}

INSTANTIATE_TEST_SUITE_P(Cuts, TcpCutTest,
                         testing::Combine(testing::ValuesIn(kCuts),
                                          testing::Values(Network::kServer4, Network::kServer6)),
                         [](const auto& way) {
                           const bool ipv6 =
                               std::get<1>(way.param) == std::string(Network::kServer6);
                           return std::string(std::get<0>(way.param).name) +
                                  (ipv6 ? "Ipv6" : "Ipv4");
                         });

}  // namespace
}  // namespace faultline::netns_test
