// What no fault touches unless it says so, with real packets.
#include "agent/config.h"
#include "faults/network/rule.h"
#include "faults/registry.h"
#include "netns/filter_fixture.h"

namespace faultline::netns_test {
namespace {

namespace pb = ::network::v1;

constexpr uint16_t kSshPort = 22;

using ProtectionTest = FilterTest;

// Whether a target can have the fault.
Status Planned(const google::protobuf::Message& fault, const chaos::v1::Target& target) {
  google::protobuf::Any config;
  config.PackFrom(fault);
  return network::PlanRule(config, target, 1).status();
}

TEST_F(ProtectionTest, SshAndFaultlinesOwnConnectionsAreProtected) {
  EchoServer ssh(*network_, kSshPort), own(*network_, kOwnPort);
  SetTarget(ServerTarget());
  auto loss = LoseIn();
  Arm(loss);
  EXPECT_TRUE(IsCutOff(kPort));
  EXPECT_TRUE(Connects(kSshPort));
  EXPECT_TRUE(Connects(kOwnPort));
  EXPECT_TRUE(IsLost(Protocol::kUdp, Network::kServer4, kSshPort));
  // Opening, and what belongs to the two connections, and no packet of the others.
  const auto counters = SettledCounters();
  EXPECT_GE(counters.left_alone(), 4u);
  EXPECT_EQ(counters.matched(), counters.dropped());
  loss.mutable_filter()->set_include_protected(true);
  Arm(loss);
  EXPECT_TRUE(IsCutOff(kSshPort));
  EXPECT_TRUE(IsCutOff(kOwnPort));
  EXPECT_EQ(SettledCounters().left_alone(), 0u);
}

TEST_F(ProtectionTest, ThePortsThatTheAgentsFileNamesAreProtected) {
  constexpr uint16_t kMovedSshPort = 2222;
  const auto config = agent::ParseConfig("agent_id: a\nprotected_ports: [2222]\n", "agent.yaml");
  ASSERT_TRUE(config.ok()) << config.status();
  own_ports_ = agent::ProtectedPorts(*config);
  MakeDriver();
  EchoServer moved(*network_, kMovedSshPort), own(*network_, kOwnPort);
  SetTarget(ServerTarget());
  auto loss = LoseIn();
  Arm(loss);
  EXPECT_TRUE(IsCutOff(kPort));
  EXPECT_TRUE(Connects(kMovedSshPort));
  EXPECT_TRUE(Connects(kOwnPort));
  EXPECT_TRUE(IsLost(Protocol::kUdp, Network::kServer4, kMovedSshPort));
  // One that names it leaves it alone all the same.
  loss.mutable_filter()->set_protocol(pb::PROTOCOL_TCP);
  loss.mutable_filter()->add_local_port(std::to_string(kMovedSshPort));
  Arm(loss);
  EXPECT_TRUE(Connects(kMovedSshPort));
  const auto counters = SettledCounters();
  EXPECT_GE(counters.left_alone(), 2u);
  EXPECT_EQ(counters.matched(), 0u);
  loss.mutable_filter()->set_include_protected(true);
  Arm(loss);
  EXPECT_TRUE(IsCutOff(kMovedSshPort));
}

TEST_F(ProtectionTest, NeighbourDiscoveryIsProtected) {
  SetTarget(ServerTarget());
  auto loss = Loss(100, pb::DIRECTION_BOTH);
  loss.mutable_filter()->set_protocol(pb::PROTOCOL_ICMP);
  Arm(loss);
  Ip(network_->client_netns(), {"neigh", "flush", "dev", Network::kInterface});
  Ip(network_->server_netns(), {"neigh", "flush", "dev", Network::kInterface});
  EXPECT_TRUE(Answers(Protocol::kUdp, Network::kServer6));
  EXPECT_TRUE(LosesPing({Network::kServer6}));
}

// Without ARP no answer of DHCP's could come after the neighbours are forgotten.
TEST_F(ProtectionTest, ArpAndDhcpPassWhereAllElseIsLost) {
  const struct {
    const char* address;
    uint16_t server, client;
  } families[] = {{Network::kServer4, 67, 68}, {Network::kServer6, 547, 546}};
  const auto knows_server = [this] {
    return RunProgram({"ip", "-n", network_->client_netns(), "neigh", "show", "to",
                       Network::kServer4, "dev", Network::kInterface})
               .find("lladdr") != std::string::npos;
  };
  SetTarget(ServerTarget());
  auto loss = Loss(100, pb::DIRECTION_BOTH);
  loss.mutable_filter()->set_whole_host(true);
  for (const bool include_protected : {false, true}) {
    loss.mutable_filter()->set_include_protected(include_protected);
    Arm(loss);
    for (const auto& netns : {network_->server_netns(), network_->client_netns()}) {
      Ip(netns, {"neigh", "flush", "dev", Network::kInterface});
    }
    for (const auto& [address, server_port, client_port] : families) {
      const EchoServer dhcp(*network_, server_port);
      Client client(*network_, Protocol::kUdp, address, server_port, client_port);
      if (include_protected) {
        EXPECT_FALSE(client.RoundTrip(kLost));
      } else {
        EXPECT_TRUE(client.RoundTrip());
        EXPECT_TRUE(IsLost(Protocol::kUdp, address, server_port)) << "both have to be DHCP's ports";
      }
    }
    EXPECT_TRUE(Eventually([&] { return IsLost(Protocol::kUdp) && knows_server(); }));
  }
}

TEST_F(ProtectionTest, TheDefaultGatewayIsProtectedInBothFamilies) {
  SetTarget(ServerTarget());
  const auto loss = Loss(100, pb::DIRECTION_BOTH);
  Arm(loss);
  EXPECT_TRUE(LosesPing({Network::kServer4}));
  EXPECT_TRUE(LosesPing({Network::kServer6}));
  Ip(network_->server_netns(), {"route", "add", "default", "via", Network::kClient4});
  Ip(network_->server_netns(), {"-6", "route", "add", "default", "via", Network::kClient6});
  EXPECT_TRUE(LookUntil(ServerTarget(), [&] { return !LosesPing({Network::kServer4}); }));
  EXPECT_TRUE(Pings({Network::kServer4}));
  EXPECT_TRUE(Pings({Network::kServer6}));
  Ip(network_->client_netns(), {"addr", "add", "10.209.0.9/24", "dev", Network::kInterface});
  EXPECT_TRUE(LosesPing({"-I", "10.209.0.9", Network::kServer4}));
  Ip(network_->server_netns(), {"route", "del", "default"});
  Ip(network_->server_netns(), {"-6", "route", "del", "default"});
  EXPECT_TRUE(LookUntil(ServerTarget(), [&] { return LosesPing({Network::kServer4}); }));
  EXPECT_TRUE(LosesPing({Network::kServer6}));
}

TEST_F(ProtectionTest, TheMetadataAddressIsProtectedInBothFamilies) {
  Ip(network_->client_netns(), {"addr", "add", "169.254.169.254/32", "dev", Network::kInterface});
  Ip(network_->client_netns(),
     {"addr", "add", "fd00:ec2::254/128", "dev", Network::kInterface, "nodad"});
  Ip(network_->server_netns(), {"route", "add", "169.254.169.254", "dev", Network::kInterface});
  Ip(network_->server_netns(), {"-6", "route", "add", "fd00:ec2::254", "via", Network::kClient6});
  SetTarget(ServerTarget());
  Arm(Loss(100, pb::DIRECTION_BOTH));
  EXPECT_TRUE(LosesPingFrom(network_->server_netns(), {Network::kClient4}));
  EXPECT_TRUE(PingsFrom(network_->server_netns(), {"169.254.169.254"}));
  EXPECT_TRUE(PingsFrom(network_->server_netns(), {"fd00:ec2::254"}));
}

TEST_F(ProtectionTest, AWholeHostMustBeAskedFor) {
  chaos::v1::Target host = ServerTarget();
  host.clear_netns();
  const auto planned = [&host](const pb::NetworkLoss& loss) { return Planned(loss, host); };
  auto loss = LoseIn();
  EXPECT_EQ(planned(loss).code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(ToString(planned(loss).message()), testing::HasSubstr("whole_host=true"));
  loss.mutable_filter()->set_whole_host(true);
  EXPECT_TRUE(planned(loss).ok());
  loss.mutable_filter()->clear_whole_host();
  loss.mutable_filter()->add_peer_cidr("10.0.0.0/8");
  EXPECT_TRUE(planned(loss).ok());
  host.add_ports(80);
  EXPECT_TRUE(planned(LoseIn()).ok());
}

TEST_F(ProtectionTest, AFilterThatLeavesNothingOutIsNoneForAWholeHost) {
  chaos::v1::Target host = ServerTarget();
  host.clear_netns();
  const std::vector<std::pair<std::string, std::string>> all = {
      {"flow_percent", "100"},    {"peer_percent", "100"},          {"packet_percent", "100"},
      {"peer_cidr", "0.0.0.0/0"}, {"peer_cidr", "10.0.0.0/8,::/0"}, {"local_port", "1-65535"},
      {"peer_port", "80,1-65535"}};
  for (const auto& [name, value] : all) {
    std::map<std::string, std::string> parameters{{"loss_percent", "1"}, {name, value}};
    const auto planned = [&] {
      return network::PlanRule(*faults::ParseParameters("NETWORK_LOSS", parameters), host, 1);
    };
    EXPECT_EQ(planned().status().code(), StatusCode::kFailedPrecondition) << name << "=" << value;
    parameters["whole_host"] = "true";
    EXPECT_TRUE(planned().ok()) << name << "=" << value;
    parameters.erase("whole_host");
    parameters["dscp"] = "46";
    EXPECT_TRUE(planned().ok()) << name << "=" << value;
  }
  for (const auto& [name, value] : std::map<std::string, std::string>{
           {"flow_percent", "99"}, {"peer_cidr", "10.0.0.0/8"}, {"local_port", "2-65535"}}) {
    const auto config =
        faults::ParseParameters("NETWORK_LOSS", {{"loss_percent", "1"}, {name, value}});
    EXPECT_TRUE(network::PlanRule(*config, host, 1).ok()) << name;
  }
}

TEST_F(ProtectionTest, TheGroupsOfAPartitionAreAFilterOnAWholeHost) {
  chaos::v1::Target host = ServerTarget();
  host.clear_netns();
  const auto config = faults::ParseParameters("NETWORK_PARTITION",
                                              {{"groups", "10.209.0.2+fd00:209::2,10.209.0.1"}});
  ASSERT_TRUE(config.ok()) << config.status();
  // The agent's own network has the server's addresses.
  network_->InServer([&] {
    const auto plan = network::PlanRule(*config, host, 1);
    EXPECT_TRUE(plan.ok()) << plan.status();
  });
}

TEST_F(ProtectionTest, PeersThatAreAllProtectedAreRefusedUnlessAskedFor) {
  const auto planned = [this](const std::vector<std::string>& peers, bool include = false) {
    pb::NetworkLoss loss = LoseIn();
    for (const std::string& peer : peers) loss.mutable_filter()->add_peer_cidr(peer);
    if (include) loss.mutable_filter()->set_include_protected(true);
    return Planned(loss, ServerTarget());
  };
  EXPECT_TRUE(planned({Network::kClient4}).ok());
  Ip(network_->server_netns(), {"route", "add", "default", "via", Network::kClient4});
  Ip(network_->server_netns(), {"-6", "route", "add", "default", "via", Network::kClient6});
  for (const std::vector<std::string>& peers :
       std::vector<std::vector<std::string>>{{Network::kClient4},
                                             {Network::kClient6},
                                             {Network::kClient4, Network::kClient6},
                                             {Network::kClient4, "169.254.169.254"}}) {
    EXPECT_EQ(planned(peers).code(), StatusCode::kFailedPrecondition);
    EXPECT_EQ(ToString(planned(peers).message()),
              fmt::format("peer_cidr '{}' names no peers of target t but its default gateway or "
                          "the metadata address, which are protected: name others, or "
                          "include_protected=true",
                          fmt::join(peers, ",")));
    EXPECT_TRUE(planned(peers, /*include=*/true).ok());
  }
  EXPECT_TRUE(planned({Network::kClient4, "10.209.0.9"}).ok());
  EXPECT_TRUE(planned({"10.209.0.0/24"}).ok());
}

}  // namespace
}  // namespace faultline::netns_test
