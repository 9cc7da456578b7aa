// To which packets a fault is put on a target that says on which ports it serves.
#include "faults/network/rule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "faults/registry.h"

namespace faultline::network {
namespace {

using Parameters = std::map<std::string, std::string>;
using Ranges = std::vector<PortRange>;

chaos::v1::Target ServingTarget() {
  chaos::v1::Target target;
  target.set_target_id("a/t");
  target.set_interface("eth0");
  target.set_netns("shop");
  target.add_ports(6379);
  return target;
}

StatusOr<RulePlan> Planned(const std::string& kind, const Parameters& parameters,
                           const chaos::v1::Target& target = ServingTarget()) {
  FL_ASSIGN_OR_RETURN(const auto config, faults::ParseParameters(kind, parameters));
  return PlanRule(config, target, 1);
}

// The ports of one side; the error as one of none.
std::optional<Ranges> PortsOf(unsigned side, const std::string& kind,
                              const Parameters& parameters) {
  const auto plan = Planned(kind, parameters);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return plan.ok() ? plan->filter.ports[side] : Ranges{};
}

TEST(PlanRule, WhatTheTargetServesIsAtItsPorts) {
  const Ranges serves = {{6379, 6379}};
  EXPECT_EQ(PortsOf(FL_LOCAL, "NETWORK_LOSS", {{"loss_percent", "1"}}), serves);
  EXPECT_EQ(PortsOf(FL_LOCAL, "NETWORK_LOSS", {{"loss_percent", "1"}, {"direction", "both"}}),
            serves);
  EXPECT_EQ(PortsOf(FL_LOCAL, "CONNECT_FAIL", {{"direction", "ingress"}}), serves);
  EXPECT_EQ(PortsOf(FL_LOCAL, "HTTP_FAULT", {{"direction", "ingress"}}), serves);
  EXPECT_EQ(PortsOf(FL_LOCAL, "DNS_FAULT", {{"direction", "ingress"}, {"names", "*"}}), serves);
  EXPECT_EQ(PortsOf(FL_LOCAL, "NETWORK_LOSS",
                    {{"loss_percent", "1"}, {"local_port", "6379"}, {"peer_port", "40000"}}),
            serves);
  EXPECT_EQ(
      PortsOf(FL_LOCAL, "NETWORK_LOSS",
              {{"loss_percent", "1"}, {"direction", "ingress"}, {"peer_port", "40000-60000"}}),
      serves)
      << "from where clients ask";
}

TEST(PlanRule, WhatTheTargetAsksOfOthersIsAtAnyOfItsPorts) {
  const auto any = std::nullopt;
  const Ranges database = {{5432, 5432}};
  EXPECT_EQ(PortsOf(FL_LOCAL, "NETWORK_LOSS", {{"loss_percent", "1"}, {"peer_port", "5432"}}), any);
  EXPECT_EQ(PortsOf(FL_PEER, "NETWORK_LOSS", {{"loss_percent", "1"}, {"peer_port", "5432"}}),
            database);
  EXPECT_EQ(PortsOf(FL_LOCAL, "CONNECT_FAIL", {}), any);
  EXPECT_EQ(PortsOf(FL_PEER, "CONNECT_FAIL", {{"peer_port", "5432"}}), database);
  EXPECT_EQ(PortsOf(FL_LOCAL, "HTTP_FAULT", {}), any);
  EXPECT_EQ(PortsOf(FL_LOCAL, "DNS_FAULT", {{"names", "*"}}), any);
  EXPECT_EQ(PortsOf(FL_PEER, "DNS_FAULT", {{"names", "*"}}), (Ranges{{53, 53}}));
}

TEST(PlanRule, ConnectionsThatComeAndThoseThatGoAreNotOneFaultOfATargetWithPorts) {
  const auto plan = Planned("CONNECT_FAIL", {{"direction", "both"}});
  EXPECT_EQ(plan.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(ToString(plan.status().message()),
            "direction=both: what comes to target a/t is for the ports on which it serves, and "
            "what it opens leaves by others: one fault of direction egress and one of ingress, or "
            "peer_port of a service");
  EXPECT_TRUE(Planned("CONNECT_FAIL", {{"direction", "both"}, {"peer_port", "5432"}}).ok());
  EXPECT_FALSE(Planned("CONNECT_FAIL", {{"direction", "both"}, {"local_port", "6379"}}).ok());
  chaos::v1::Target target = ServingTarget();
  target.clear_ports();
  EXPECT_TRUE(Planned("CONNECT_FAIL", {{"direction", "both"}}, target).ok());
}

TEST(PlanRule, IcmpIsNotOfATargetWithPorts) {
  const Parameters pings{{"loss_percent", "1"}, {"protocol", "icmp"}};
  EXPECT_EQ(ToString(Planned("NETWORK_LOSS", pings).status().message()),
            "target a/t has ports, and ICMP has none: protocol=icmp needs a target without");
  chaos::v1::Target target = ServingTarget();
  target.clear_ports();
  EXPECT_TRUE(Planned("NETWORK_LOSS", pings, target).ok());
}

// Its ports leave nothing out there.
TEST(PlanRule, AllThatAHostOpensMustBeAskedFor) {
  chaos::v1::Target host = ServingTarget();
  host.clear_netns();
  EXPECT_THAT(ToString(Planned("CONNECT_FAIL", {}, host).status().message()),
              testing::HasSubstr("whole_host=true"));
  EXPECT_TRUE(Planned("CONNECT_FAIL", {{"whole_host", "true"}}, host).ok());
  EXPECT_TRUE(Planned("CONNECT_FAIL", {{"peer_port", "5432"}}, host).ok());
  EXPECT_TRUE(Planned("CONNECT_FAIL", {{"direction", "ingress"}}, host).ok());
}

}  // namespace
}  // namespace faultline::network
