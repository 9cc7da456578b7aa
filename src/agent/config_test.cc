#include "agent/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace faultline::agent {
namespace {

std::string ErrorOf(const std::string& text) {
  return ToString(ParseConfig(text, "agent.yaml").status().message());
}

TEST(AgentConfig, AnEmptyFileGivesTheDefaults) {
  const auto config = ParseConfig("", "agent.yaml");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_FALSE(config->agent_id.empty());
  EXPECT_EQ(config->controllers, std::vector<std::string>{"127.0.0.1:7400"});
  EXPECT_EQ(config->heartbeat_ns, 250'000'000u);
  EXPECT_EQ(config->metrics_rate_hz, 10u);
  EXPECT_TRUE(config->targets.empty());
}

TEST(AgentConfig, TargetsCarryTheirIdsAndEveryKey) {
  const auto config = ParseConfig(R"(
agent_id: host-1
controllers: [10.0.0.1:7400, 10.0.0.2:7400]
heartbeat: 100ms
targets:
- name: checkout
  labels: {service: checkout, version: v1}
  interface: eth0
  netns: shop
  cgroup: /system.slice/checkout.service
  ports: [6379, 6380]
  addresses: [10.1.0.2, "fd00::/64"]
)",
                                  "agent.yaml");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->controllers.size(), 2u);
  EXPECT_EQ(config->heartbeat_ns, 100'000'000u);
  ASSERT_EQ(config->targets.size(), 1u);
  const auto& target = config->targets[0];
  EXPECT_EQ(target.target_id(), "host-1/checkout");
  EXPECT_EQ(target.agent_id(), "host-1");
  EXPECT_EQ(target.labels().at("version"), "v1");
  EXPECT_EQ(target.ports(1), 6380u);
  EXPECT_EQ(target.addresses(1), "fd00::/64");
}

TEST(AgentConfig, ANetworkNamespaceMayBeNamedInManyWays) {
  const auto netns = [](const std::string& name) -> std::string {
    const auto config = ParseConfig(
        "agent_id: a\ntargets:\n- name: x\n  interface: e\n  netns: \"" + name + "\"\n", "f");
    return config.ok() ? config->targets[0].netns() : ToString(config.status().message());
  };
  for (const char* name : {"shop", "/run/docker/netns/6f2c", "pid:/run/shop.pid",
                           "cgroup:/system.slice/shop.service", "pid:4711@99"}) {
    EXPECT_EQ(netns(name), name);
  }
  // One that is there is known by when it was started, one that is not never will be.
  EXPECT_THAT(netns("pid:1"), testing::MatchesRegex("pid:1@[0-9]+"));
  EXPECT_EQ(netns("pid:4194304"), "pid:4194304@0");
  for (const char* name : {"a b", "pid:", "pid:0", "pid:self", "pid:-1", "pid:7@",
                           "cgroup:", "cgroup:shop", "cgroup:/../shop", "veth:1"}) {
    EXPECT_EQ(netns(name), std::string("f:5: netns: '") + name +
                               "' is not allowed: a name under /run/netns, a path, pid:NUMBER, "
                               "pid:/FILE or cgroup:/PATH");
  }
}

TEST(AgentConfig, ATargetMayBeSeenFromTheHostsEndOfItsLink) {
  const auto parse = [](const std::string& lines) {
    return ParseConfig("agent_id: a\ntargets:\n- name: x\n  interface: e\n" + lines, "f");
  };
  EXPECT_FALSE(parse("")->targets[0].at_host_end());
  EXPECT_FALSE(parse("  attach: inside\n")->targets[0].at_host_end());
  EXPECT_TRUE(parse("  netns: shop\n  attach: host\n")->targets[0].at_host_end());
  EXPECT_EQ(ToString(parse("  attach: outside\n").status().message()),
            "f:5: attach: 'outside' is not allowed: inside or host");
  EXPECT_EQ(ToString(parse("  attach: host\n  cgroup: /shop\n").status().message()),
            "f:6: cgroup: '/shop' is not allowed: none together with 'attach: host': sockets are "
            "told apart inside");
}

TEST(AgentConfig, ProtectedPortsAreThoseOfFaultlineAndOfTheFileEachOnce) {
  const auto config = ParseConfig(
      "agent_id: a\ncontrollers: [10.0.0.1:7400, 10.0.0.2:8400]\nprotected_ports: [2222, 8400, "
      "9]\n",
      "f");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(ProtectedPorts(*config), (std::vector<uint16_t>{7400, 7401, 8400, 2222, 9}));
  EXPECT_EQ(ProtectedPorts(Config()), (std::vector<uint16_t>{7400, 7401}));
}

TEST(AgentConfig, ProtectedPortsAreTcpPortsAndNotTooMany) {
  const auto parse = [](const std::string& ports) {
    return ErrorOf("agent_id: a\nprotected_ports: [" + ports + "]\n");
  };
  for (const char* wrong : {"0", "65536", "-1", "ssh", "8000-8100"}) {
    EXPECT_EQ(parse(std::string("2222, ") + wrong),
              fmt::format("agent.yaml:2: protected_ports: '{}' is not allowed: TCP port numbers "
                          "from 1 to 65535",
                          wrong));
  }
  // With Faultline's own two; what is named twice is one.
  const std::string most = "1,2,3,4,5,6,7,8,9,10,11,12,13,14";
  EXPECT_EQ(parse(most + ",1,7400"), "");
  const std::string allowed =
      "' is not allowed: at most 16 different ports, with 7400 and 7401 and those of "
      "'controllers': so many can be protected";
  EXPECT_EQ(parse(most + ",15"), "agent.yaml:2: protected_ports: '" + most + ",15" + allowed);
  std::string controllers;
  for (int port = 1; port <= 15; ++port) {
    controllers += fmt::format("{}h:{}", port == 1 ? "" : ",", port);
  }
  EXPECT_EQ(ErrorOf("controllers: [" + controllers + "]\n"),
            "agent.yaml:1: controllers: '" + controllers + allowed);
}

TEST(AgentConfig, ErrorsNameFileLineKeyValueAndWhatIsAllowed) {
  EXPECT_EQ(ErrorOf("agent_id: a\ntargets:\n- name: x\n  interface: eth0\n  ports: [0]\n"),
            "agent.yaml:5: ports: '0' is not allowed: port numbers from 1 to 65535");
  for (const char* wrong : {"1ms", "1e30", "soon"}) {
    EXPECT_EQ(ErrorOf(fmt::format("agent_id: a\nheartbeat: {}\n", wrong)),
              fmt::format("agent.yaml:2: heartbeat: '{}' is not allowed: 20ms to 10s", wrong));
  }
  EXPECT_EQ(ErrorOf("lane: netem\n"),
            "agent.yaml:1: lane: 'netem' is not allowed: auto, tap or fq");
  EXPECT_EQ(ErrorOf("controllers: [nowhere]\n"),
            "agent.yaml:1: controllers: 'nowhere' is not allowed: host:port, such as "
            "127.0.0.1:7400");
  EXPECT_EQ(ErrorOf("heart_beat: 1s\n").rfind("agent.yaml:1: unknown key 'heart_beat'", 0), 0u);
}

TEST(AgentConfig, RefusesWhatCannotBeATarget) {
  const auto target = [](const std::string& lines) {
    return ErrorOf("agent_id: a\ntargets:\n- name: x\n" + lines);
  };
  EXPECT_NE(target("").find("interface"), std::string::npos);
  EXPECT_NE(target("  interface: much-too-long-name\n").find("1 to 15"), std::string::npos);
  EXPECT_NE(target("  interface: ../../x\n").find("without '/'"), std::string::npos);
  EXPECT_NE(target("  interface: [e]\n").find("a text"), std::string::npos);
  EXPECT_NE(target("  interface: e\n  ports: {a: b}\n").find("ports"), std::string::npos);
  EXPECT_NE(target("  interface: e\n  labels: {a: {b: c}}\n").find("labels"), std::string::npos);
  EXPECT_NE(target("  interface: e\n  addresses: [1.2.3]\n").find("addresses"), std::string::npos);
  EXPECT_NE(target("  interface: e\n  addresses: [1.2.3.4/33]\n").find("1.2.3.4/33"),
            std::string::npos);
  EXPECT_NE(target("  interface: e\n  labels: {agent: b}\n").find("are taken"), std::string::npos);
  EXPECT_NE(target("  interface: e\n  netns: a b\n").find("netns"), std::string::npos);
  EXPECT_NE(target("  interface: e\n- name: x\n  interface: e\n").find("no other target"),
            std::string::npos);
}

}  // namespace
}  // namespace faultline::agent
