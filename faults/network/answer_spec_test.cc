// Parameters of the kinds that answer packets.
#include <gtest/gtest.h>

#include "faults/registry.h"

namespace faultline::network {
namespace {

using Parameters = std::map<std::string, std::string>;

std::string ErrorOf(const std::string& kind, const Parameters& parameters) {
  const auto config = faults::ParseParameters(kind, parameters);
  EXPECT_EQ(config.status().code(), StatusCode::kInvalidArgument);
  return ToString(config.status().message());
}

bool IsAllowed(const std::string& kind, const Parameters& parameters) {
  const auto config = faults::ParseParameters(kind, parameters);
  EXPECT_TRUE(config.ok()) << config.status();
  return config.ok();
}

TEST(AnswerParameters, OnlyTcpHasConnectionsToReset) {
  for (const char* wrong : {"udp", "icmp"}) {
    EXPECT_EQ(ErrorOf("TCP_RESET", {{"protocol", wrong}}),
              std::string("parameters.protocol: '") + wrong +
                  "' is not allowed: any or tcp: nothing else has connections");
  }
  EXPECT_TRUE(IsAllowed("TCP_RESET", {{"protocol", "tcp"}}));
  EXPECT_TRUE(IsAllowed("TCP_RESET", {}));
}

TEST(AnswerParameters, AResetIsOfWhatNeitherOpensNorEndsAConnection) {
  EXPECT_EQ(ErrorOf("TCP_RESET", {{"tcp_flags", "ack,syn"}}),
            "parameters.tcp_flags: 'ack,syn' is not allowed: neither syn nor rst: what opens a "
            "connection or ends it is not reset");
  EXPECT_TRUE(IsAllowed("TCP_RESET", {{"tcp_flags", "psh,!syn"}}));
}

TEST(AnswerParameters, OpeningsAreTcpAndHaveTheirFlags) {
  EXPECT_EQ(ErrorOf("CONNECT_FAIL", {{"protocol", "udp"}}),
            "parameters.protocol: 'udp' is not allowed: any or tcp: nothing else has connections");
  EXPECT_EQ(ErrorOf("CONNECT_FAIL", {{"tcp_flags", "syn"}}),
            "parameters.tcp_flags: 'syn' is not allowed: no flags: what opens a connection has syn "
            "and no ack");
  EXPECT_EQ(ErrorOf("CONNECT_FAIL", {{"failure", "broken"}}),
            "parameters.failure: 'broken' is not allowed: one of refused, host_unreachable, "
            "net_unreachable, timed_out");
  EXPECT_TRUE(IsAllowed("CONNECT_FAIL", {{"failure", "timed_out"}, {"direction", "both"}}));
}

TEST(AnswerParameters, DnsNamesArePatterns) {
  EXPECT_EQ(ErrorOf("DNS_FAULT", {}),
            "parameters.names: '' is not allowed: it must be given: a text");
  EXPECT_EQ(ErrorOf("DNS_FAULT", {{"names", "a.b,*x.c"}}),
            "parameters.names: '*x.c' is not allowed: a name such as db.example.com, *.example.com "
            "for all below it, or * for all");
  std::string many = "n0";
  for (int i = 1; i < 16; ++i) many += fmt::format(",n{}", i);
  EXPECT_TRUE(IsAllowed("DNS_FAULT", {{"names", many}}));
  EXPECT_EQ(ErrorOf("DNS_FAULT", {{"names", many + ",n16"}}),
            "parameters.names: '" + many + ",n16' is not allowed: 1 to 16 names");
}

TEST(AnswerParameters, DnsAddressesGoWithThatAnswer) {
  const Parameters asked = {{"names", "*"}, {"answer", "address"}};
  const auto with = [](Parameters parameters, const std::string& addresses) {
    parameters["addresses"] = addresses;
    return parameters;
  };
  EXPECT_EQ(ErrorOf("DNS_FAULT", asked),
            "parameters.addresses: '' is not allowed: 1 to 8 addresses");
  EXPECT_EQ(ErrorOf("DNS_FAULT", with(asked, "10.0.0.0/8")),
            "parameters.addresses: '10.0.0.0/8' is not allowed: an IPv4 or IPv6 address");
  EXPECT_EQ(ErrorOf("DNS_FAULT", with({{"names", "*"}}, "10.0.0.1")),
            "parameters.addresses: '10.0.0.1' is not allowed: nothing unless answer is address");
  EXPECT_TRUE(IsAllowed("DNS_FAULT", with(asked, "192.0.2.1,2001:db8::1")));
}

TEST(AnswerParameters, DnsQueriesGoOneWayByUdpOrTcp) {
  EXPECT_EQ(
      ErrorOf("DNS_FAULT", {{"names", "*"}, {"direction", "both"}}),
      "parameters.direction: 'both' is not allowed: egress (queries that the target sends) or "
      "ingress (queries that it gets)");
  EXPECT_EQ(ErrorOf("DNS_FAULT", {{"names", "*"}, {"protocol", "icmp"}}),
            "parameters.protocol: 'icmp' is not allowed: any, udp or tcp: what carries DNS");
  EXPECT_EQ(ErrorOf("DNS_FAULT", {{"names", "*"}, {"tcp_flags", "psh"}}),
            "parameters.tcp_flags: 'psh' is not allowed: no flags");
}

}  // namespace
}  // namespace faultline::network
