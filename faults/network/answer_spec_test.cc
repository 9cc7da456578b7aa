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

}  // namespace
}  // namespace faultline::network
