// Which faults a target's ports narrow, and which not.
#include "faults/network/local_ports_spec.h"

#include <gtest/gtest.h>

#include "faults/network/packet_kinds_testing.h"
#include "faults/registry.h"

namespace faultline::network {
namespace {

using Ports = std::vector<std::string>;
using Parameters = std::map<std::string, std::string>;

const std::map<std::string, Parameters> kRequestKinds = {
    {"CONNECT_FAIL", {}}, {"DNS_FAULT", {{"names", "*"}}}, {"HTTP_FAULT", {}}};

// Of a target that serves on those.
Ports PortsOf(const std::string& kind, Parameters parameters, const Parameters& more = {},
              const std::vector<uint32_t>& ports = {80, 443}) {
  parameters.insert(more.begin(), more.end());
  const auto config = faults::ParseParameters(kind, parameters);
  EXPECT_TRUE(config.ok()) << config.status();
  if (!config.ok()) return {"wrong"};
  chaos::v1::Target target;
  target.mutable_ports()->Assign(ports.begin(), ports.end());
  return faults::LocalPortsOf(*config, target);
}

TEST(LocalPorts, OfPacketsAreTheTargetsUnlessAPeersPortIsGivenAlone) {
  for (const auto& [kind, parameters] : kPacketKinds) {
    EXPECT_EQ(PortsOf(kind, parameters), (Ports{"80", "443"})) << kind;
    EXPECT_EQ(PortsOf(kind, parameters, {{"peer_port", "5432"}}), Ports{}) << kind;
    // Clients have such ports.
    for (const char* clients : {"40000-60000", "5432,40000", "32768", "32767-32768"}) {
      EXPECT_EQ(PortsOf(kind, parameters, {{"peer_port", clients}}), (Ports{"80", "443"})) << kind;
    }
    EXPECT_EQ(PortsOf(kind, parameters, {{"peer_port", "5432,30000-32767"}}), Ports{}) << kind;
    EXPECT_EQ(PortsOf(kind, parameters, {{"local_port", "80"}}), Ports{"80"}) << kind;
    EXPECT_EQ(PortsOf(kind, parameters, {{"local_port", "80"}, {"peer_port", "5432"}}), Ports{"80"})
        << kind;
    EXPECT_EQ(PortsOf(kind, parameters, {}, {}), Ports{}) << kind;
    if (kind == "NETWORK_PARTITION") continue;
    for (const char* direction : {"ingress", "both"}) {
      EXPECT_EQ(PortsOf(kind, parameters, {{"direction", direction}}), (Ports{"80", "443"}))
          << kind;
      EXPECT_EQ(PortsOf(kind, parameters, {{"direction", direction}, {"peer_port", "5432"}}),
                Ports{})
          << kind;
    }
  }
}

TEST(LocalPorts, OfRequestsAreTheTargetsWhereItGetsThem) {
  for (const auto& [kind, parameters] : kRequestKinds) {
    EXPECT_EQ(PortsOf(kind, parameters), Ports{}) << kind;
    EXPECT_EQ(PortsOf(kind, parameters, {{"peer_port", "5432"}}), Ports{}) << kind;
    EXPECT_EQ(PortsOf(kind, parameters, {{"local_port", "80"}}), Ports{"80"}) << kind;
    for (const Parameters& more : {Parameters{}, {{"peer_port", "5432"}}}) {
      Parameters in = more;
      in["direction"] = "ingress";
      EXPECT_EQ(PortsOf(kind, parameters, in), (Ports{"80", "443"})) << kind;
    }
  }
  EXPECT_EQ(PortsOf("CONNECT_FAIL", {{"direction", "both"}, {"peer_port", "5432"}}), Ports{});
  EXPECT_EQ(PortsOf("CONNECT_FAIL", {{"direction", "both"}}), (Ports{"80", "443"}));
}

TEST(LocalPorts, OfQueriesAre53WhereNobodySaysOthers) {
  const Parameters query{{"names", "*"}, {"direction", "ingress"}};
  EXPECT_EQ(PortsOf("DNS_FAULT", query, {}, {}), Ports{"53"});
  EXPECT_EQ(PortsOf("DNS_FAULT", query, {{"local_port", "5353"}}, {}), Ports{"5353"});
}

TEST(LocalPorts, OfAKindOfANewerProgramAreNotKnown) {
  google::protobuf::Any config;
  config.set_type_url("type.googleapis.com/network.v2.NetworkSomething");
  EXPECT_EQ(faults::LocalPortsOf(config, {}), Ports{});
}

TEST(LocalPorts, AQueryGoesToPort53UnlessAnotherIsGiven) {
  ::network::v1::DnsFault fault;
  chaos::v1::Target target;
  target.add_ports(80);
  EXPECT_EQ(FilterOf(fault, target).peer_port(0), "53");
  EXPECT_EQ(FilterOf(fault, target).local_port_size(), 0);
  fault.mutable_filter()->add_peer_port("5353");
  ASSERT_EQ(FilterOf(fault, target).peer_port_size(), 1);
  EXPECT_EQ(FilterOf(fault, target).peer_port(0), "5353");
}

}  // namespace
}  // namespace faultline::network
