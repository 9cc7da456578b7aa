#include "faults/network/http_spec.h"

#include <gtest/gtest.h>

#include "faults/registry.h"

namespace faultline::network {
namespace {

using Parameters = std::map<std::string, std::string>;

std::string ErrorOf(const Parameters& parameters) {
  const auto config = faults::ParseParameters("HTTP_FAULT", parameters);
  EXPECT_EQ(config.status().code(), StatusCode::kInvalidArgument);
  return ToString(config.status().message());
}

TEST(HttpParameters, SayWhichRequestsAndWhatBecomesOfThem) {
  for (const Parameters& good :
       {Parameters{}, Parameters{{"method", "GET,POST"}, {"path_prefix", "/api/,/v2"}},
        Parameters{{"host", "*.example.com,10.0.0.1"}, {"status", "599"}},
        Parameters{{"header", "X-Canary,x-user=4 2"}},
        Parameters{{"failure", "delay"}, {"delay_ms", "0.5s"}},
        Parameters{{"failure", "reset"}, {"direction", "ingress"}}}) {
    EXPECT_TRUE(faults::ParseParameters("HTTP_FAULT", good).ok());
  }
}

TEST(HttpParameters, ThatMeanNoRequestAreRefused) {
  EXPECT_EQ(ErrorOf({{"method", "get"}}),
            "parameters.method: 'get' is not allowed: a method in upper case, such as GET");
  EXPECT_EQ(ErrorOf({{"path_prefix", "api"}}),
            "parameters.path_prefix: 'api' is not allowed: the beginning of a path, such as /api/");
  EXPECT_EQ(ErrorOf({{"path_prefix", "/a b"}}),
            "parameters.path_prefix: '/a b' is not allowed: the beginning of a path, such as "
            "/api/");
  EXPECT_EQ(ErrorOf({{"host", "a..b"}}),
            "parameters.host: 'a..b' is not allowed: a host name such as api.example.com, "
            "*.example.com for all below it, or * for all");
  EXPECT_EQ(ErrorOf({{"header", "x user=1"}}),
            "parameters.header: 'x user=1' is not allowed: a header's name such as x-canary, or "
            "its name and value, such as x-user=42");
  EXPECT_EQ(ErrorOf({{"status", "199"}}),
            "parameters.status: '199' is not allowed: a whole number from 200 to 599");
  std::string many = "A";
  for (int i = 0; i < 16; ++i) many += ",A";
  EXPECT_EQ(ErrorOf({{"method", many}}),
            "parameters.method: '" + many + "' is not allowed: at most 16 of them");
}

TEST(HttpParameters, ThatContradictEachOtherAreRefused) {
  EXPECT_EQ(ErrorOf({{"failure", "delay"}}),
            "parameters.delay_ms: '0' is not allowed: more than 0 when failure is delay");
  EXPECT_EQ(ErrorOf({{"direction", "both"}}),
            "parameters.direction: 'both' is not allowed: egress (requests that the target sends) "
            "or ingress (requests that it gets)");
  EXPECT_EQ(ErrorOf({{"protocol", "udp"}}),
            "parameters.protocol: 'udp' is not allowed: any or tcp: nothing else has connections");
  EXPECT_EQ(ErrorOf({{"tcp_flags", "psh"}}),
            "parameters.tcp_flags: 'psh' is not allowed: no flags");
}

TEST(HeaderTerms, AreANameWithOrWithoutAValue) {
  EXPECT_EQ(ParseHeaderTerm("X-User=a=b")->name, "x-user");
  EXPECT_EQ(ParseHeaderTerm("X-User=a=b")->value, "a=b");
  EXPECT_EQ(ParseHeaderTerm("x")->value, std::nullopt);
  EXPECT_EQ(ParseHeaderTerm("x=")->value, "");
  for (const char* wrong : {"", "=1", "a:b", "a b", "x=\n"}) {
    EXPECT_FALSE(ParseHeaderTerm(wrong).ok()) << wrong;
  }
}

}  // namespace
}  // namespace faultline::network
