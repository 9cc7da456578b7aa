#include "faults/network/filter_spec.h"

#include <gtest/gtest.h>

#include "base/text.h"
#include "faults/registry.h"

namespace faultline::network {
namespace {

using Parameters = std::map<std::string, std::string>;

std::string ErrorOf(Parameters parameters) {
  parameters.emplace("loss_percent", "10");
  const auto config = faults::ParseParameters("NETWORK_LOSS", parameters);
  EXPECT_EQ(config.status().code(), StatusCode::kInvalidArgument);
  return ToString(config.status().message());
}

bool Allows(Parameters parameters) {
  parameters.emplace("loss_percent", "10");
  return faults::ParseParameters("NETWORK_LOSS", parameters).ok();
}

TEST(TrafficFilter, NetworksThatAreNoneAreRefused) {
  for (const char* wrong :
       {"10.0.0.0/33", "10.0.0/8", "2001:db8::/129", "host", "10.0.0.0/", "/8"}) {
    for (const char* parameter : {"peer_cidr", "exclude_peer_cidr"}) {
      EXPECT_EQ(ErrorOf({{parameter, std::string("10.0.0.0/8,") + wrong}}),
                fmt::format("parameters.{}: '{}' is not allowed: an address or a network such as "
                            "10.0.0.0/8 or 2001:db8::/32",
                            parameter, wrong));
    }
  }
}

TEST(TrafficFilter, HostNamesThatAreNoneAreRefused) {
  for (const char* wrong : {"", "a b", "-x", "db/1", "fd00::1"}) {
    EXPECT_EQ(ErrorOf({{"peer_host", std::string("db.example.com,") + wrong}}),
              fmt::format("parameters.peer_host: '{}' is not allowed: a host name such as "
                          "db.example.com",
                          wrong));
  }
  EXPECT_TRUE(Allows({{"peer_host", "db, db_1.example.com"}, {"exclude_peer_host", "10.0.0.1"}}));
}

TEST(TrafficFilter, WhatIsIncludedMustNotAllBeExcluded) {
  const std::string allowed =
      "' is not allowed: a network that is not wholly inside of one of exclude_peer_cidr, ";
  for (const char* out : {"10.0.0.0/8", "192.0.2.0/24,10.0.0.1", "0.0.0.0/0", "::ffff:0:0/96"}) {
    EXPECT_EQ(ErrorOf({{"peer_cidr", "10.0.0.1"}, {"exclude_peer_cidr", out}}),
              std::string("parameters.peer_cidr: '10.0.0.1") + allowed + out);
  }
  EXPECT_EQ(
      ErrorOf({{"peer_cidr", "10.1.0.0/16,2001:db8::1"},
               {"exclude_peer_cidr", "10.0.0.0/8,2001:db8::/32"}}),
      "parameters.peer_cidr: '10.1.0.0/16,2001:db8::1" + allowed + "10.0.0.0/8,2001:db8::/32");
  for (const auto& [in, out] : Parameters{{"10.0.0.0/8", "10.0.0.0/9,10.128.0.0/10"},
                                          {"10.0.0.1,192.0.2.1", "10.0.0.0/8"},
                                          {"2001:db8::1", "0.0.0.0/0"}}) {
    EXPECT_TRUE(Allows({{"peer_cidr", in}, {"exclude_peer_cidr", out}})) << in;
  }
  // A name may have other addresses.
  EXPECT_TRUE(
      Allows({{"peer_cidr", "10.0.0.1"}, {"peer_host", "db"}, {"exclude_peer_cidr", "10.0.0.1"}}));
}

TEST(TrafficFilter, NotAllThatThereIsMayBeExcluded) {
  for (const char* all : {"0.0.0.0/0,::/0", "::/0,::ffff:0:0/96,10.0.0.1"}) {
    for (const Parameters& more :
         {Parameters{}, {{"peer_cidr", "10.0.0.1"}}, {{"peer_host", "a"}}}) {
      Parameters parameters = more;
      parameters["exclude_peer_cidr"] = all;
      EXPECT_EQ(ErrorOf(parameters),
                fmt::format("parameters.exclude_peer_cidr: '{}' is not allowed: networks that "
                            "leave some address: these are all of IPv4 and of IPv6",
                            all));
    }
  }
  EXPECT_TRUE(Allows({{"exclude_peer_cidr", "0.0.0.0/0"}}));
  EXPECT_TRUE(Allows({{"exclude_peer_cidr", "::/0,0.0.0.0/1"}}));
}

TEST(TrafficFilter, PortsThatAreNoneAreRefused) {
  for (const char* wrong : {"0", "65536", "http", "90-80", "80-", "-80", "80-90-100", "", "8 0"}) {
    EXPECT_EQ(ErrorOf({{"peer_port", std::string("80,") + wrong}}),
              fmt::format("parameters.peer_port: '{}' is not allowed: a port from 1 to 65535, or a "
                          "range: 8000-8100",
                          wrong));
  }
  EXPECT_TRUE(Allows({{"peer_port", "1,8000-8100,65535"}}));
}

TEST(TrafficFilter, ListsAreLimited) {
  std::string ports = "1", networks = "10.0.0.1";
  for (int i = 2; i <= 16; ++i) {
    ports += fmt::format(",{}", i);
    networks += fmt::format(",10.0.0.{}", i);
  }
  EXPECT_TRUE(Allows({{"local_port", ports}, {"peer_port", ports}, {"peer_cidr", networks}}));
  for (const char* parameter : {"local_port", "peer_port"}) {
    EXPECT_EQ(ErrorOf({{parameter, ports + ",17"}}),
              fmt::format("parameters.{}: '{},17' is not allowed: at most 16 ports or ranges",
                          parameter, ports));
  }
  EXPECT_EQ(ErrorOf({{"peer_cidr", networks + ",10.0.0.17"}}),
            "parameters.peer_cidr: '" + Shown(networks + ",10.0.0.17") +
                "' is not allowed: at most 16 networks");
}

TEST(TrafficFilter, PortsDoNotGoWithIcmp) {
  EXPECT_EQ(
      ErrorOf({{"protocol", "icmp"}, {"peer_port", "80"}}),
      "parameters.peer_port: '80' is not allowed: no ports with protocol icmp, which has none");
}

TEST(TrafficFilter, TheSshPortAloneMustBeAskedForByName) {
  EXPECT_EQ(ErrorOf({{"local_port", "22"}}),
            "parameters.local_port: '22' is not allowed: a port that is not SSH's, which is "
            "protected; or include_protected=true");
  EXPECT_TRUE(Allows({{"local_port", "22"}, {"include_protected", "true"}}));
  EXPECT_TRUE(Allows({{"local_port", "22,80"}}));
  EXPECT_TRUE(Allows({{"local_port", "22"}, {"protocol", "udp"}}));
}

TEST(TrafficFilter, FaultlinesOwnPortsAloneMustBeAskedForByName) {
  EXPECT_EQ(ErrorOf({{"peer_port", "7400-7401"}}),
            "parameters.peer_port: '7400-7401' is not allowed: a port that is not Faultline's own, "
            "which is protected; or include_protected=true");
  EXPECT_EQ(ErrorOf({{"local_port", "22,7400"}, {"protocol", "tcp"}}),
            "parameters.local_port: '22,7400' is not allowed: a port that is not SSH's or "
            "Faultline's own, which is protected; or include_protected=true");
  EXPECT_TRUE(Allows({{"peer_port", "7400"}, {"include_protected", "true"}}));
  EXPECT_TRUE(Allows({{"peer_port", "7400"}, {"protocol", "udp"}}));
  EXPECT_TRUE(Allows({{"peer_port", "7400-7402"}}));
}

TEST(TrafficFilter, DhcpAloneMustBeAskedForByName) {
  const Parameters dhcp{{"protocol", "udp"}, {"local_port", "68"}, {"peer_port", "67,547"}};
  EXPECT_EQ(ErrorOf(dhcp),
            "parameters.local_port: '68' is not allowed: with peer_port 67,547, a port that is not "
            "DHCP's, which is protected; or include_protected=true");
  for (const auto& [name, value] :
       Parameters{{"include_protected", "true"}, {"peer_port", "67-69"}, {"protocol", "any"}}) {
    Parameters more = dhcp;
    more[name] = value;
    EXPECT_TRUE(Allows(more)) << name;
  }
  EXPECT_TRUE(Allows({{"protocol", "udp"}, {"peer_port", "67"}})) << "the other side may be any";
}

TEST(TrafficFilter, TheMetadataAddressAloneMustBeAskedForByName) {
  for (const char* peers : {"169.254.169.254", "fd00:ec2::254/128,169.254.169.254/32"}) {
    EXPECT_EQ(ErrorOf({{"peer_cidr", peers}}),
              fmt::format("parameters.peer_cidr: '{}' is not allowed: a peer that is not the "
                          "metadata address, which is protected; or include_protected=true",
                          peers));
    EXPECT_TRUE(Allows({{"peer_cidr", peers}, {"include_protected", "true"}}));
    EXPECT_TRUE(Allows({{"peer_cidr", peers}, {"peer_host", "db"}}));
  }
  EXPECT_TRUE(Allows({{"peer_cidr", "169.254.169.254/31"}}));
  EXPECT_TRUE(Allows({{"peer_cidr", "169.254.169.254,10.0.0.1"}}));
}

TEST(TrafficFilter, FlagsAreKnownTcpFlagsAndNotBothWays) {
  const std::string allowed =
      "one of fin, syn, rst, psh, ack, urg, ece, cwr, or one with a ! before it, and none of them "
      "both ways";
  EXPECT_EQ(ErrorOf({{"tcp_flags", "syn,xyz"}}),
            "parameters.tcp_flags: 'xyz' is not allowed: " + allowed);
  EXPECT_EQ(ErrorOf({{"tcp_flags", "syn,!syn"}}),
            "parameters.tcp_flags: '!syn' is not allowed: " + allowed);
  EXPECT_EQ(ErrorOf({{"tcp_flags", "syn"}, {"protocol", "udp"}}),
            "parameters.tcp_flags: 'syn' is not allowed: no flags with another protocol than tcp");
  EXPECT_TRUE(Allows({{"tcp_flags", "syn,!ack"}, {"protocol", "tcp"}}));
}

TEST(TrafficFilter, NewAndEstablishedConnectionsAreOfTcp) {
  for (const char* which : {"new", "established"}) {
    EXPECT_TRUE(Allows({{"connections", which}}));
    EXPECT_TRUE(Allows({{"connections", which}, {"protocol", "tcp"}}));
    EXPECT_EQ(ErrorOf({{"connections", which}, {"protocol", "udp"}}),
              fmt::format("parameters.connections: '{}' is not allowed: any, with another protocol "
                          "than tcp",
                          which));
  }
  EXPECT_TRUE(Allows({{"connections", "any"}, {"protocol", "udp"}}));
  EXPECT_EQ(ErrorOf({{"connections", "old"}}),
            "parameters.connections: 'old' is not allowed: one of any, new, established");
}

TEST(TrafficFilter, SizesAndSharesAndCodePointsHaveTheirRanges) {
  EXPECT_EQ(ErrorOf({{"min_packet_bytes", "100"}, {"max_packet_bytes", "99"}}),
            "parameters.max_packet_bytes: '99' is not allowed: at least min_packet_bytes, 100");
  EXPECT_EQ(ErrorOf({{"flow_percent", "101"}}),
            "parameters.flow_percent: '101' is not allowed: 0 to 100 %");
  EXPECT_EQ(ErrorOf({{"dscp", "64"}}),
            "parameters.dscp: '64' is not allowed: a whole number from 0 to 63");
  EXPECT_TRUE(Allows({{"dscp", "0,46"},
                      {"min_packet_bytes", "100"},
                      {"max_packet_bytes", "100"},
                      {"packet_percent", "0.5"},
                      {"peer_percent", "50"}}));
}

TEST(TrafficFilter, AShareIsMoreThanNothing) {
  for (const char* name : {"packet_percent", "flow_percent", "peer_percent"}) {
    EXPECT_EQ(ErrorOf({{name, "0"}}),
              fmt::format("parameters.{}: '0' is not allowed: more than 0, up to 100 %", name));
    EXPECT_TRUE(Allows({{name, "0.001"}})) << name;
  }
}

TEST(TcpFlags, AreMaskAndValue) {
  TcpFlags flags;
  ASSERT_TRUE(AddTcpFlag("syn", &flags).ok());
  ASSERT_TRUE(AddTcpFlag("!ack", &flags).ok());
  EXPECT_EQ(flags.mask, 0x12);
  EXPECT_EQ(flags.value, 0x02);
}

TEST(PayloadPrefix, IsTextWithBytesByTheirNumbers) {
  EXPECT_EQ(*ParsePayloadPrefix("GET /api"), "GET /api");
  EXPECT_EQ(*ParsePayloadPrefix("\\x16\\x03a\\\\"),
            "\x16\x03"
            "a\\");
  EXPECT_EQ(*ParsePayloadPrefix("\\x00"), std::string(1, '\0'));
  EXPECT_EQ(ParsePayloadPrefix(std::string(32, 'a'))->size(), 32u);
  for (const std::string& wrong :
       {std::string(), std::string("\\"), std::string("\\x"), std::string("\\x1"),
        std::string("\\x1g"), std::string("\\n"), std::string(33, 'a')}) {
    EXPECT_FALSE(ParsePayloadPrefix(wrong).ok()) << wrong;
  }
}

TEST(TrafficFilter, APayloadIsOfTcpOrUdpAndItsPrefixShort) {
  EXPECT_TRUE(Allows({{"payload_prefix", "GET /"}, {"protocol", "tcp"}}));
  EXPECT_EQ(ErrorOf({{"payload_prefix", "a"}, {"protocol", "icmp"}}),
            "parameters.payload_prefix: 'a' is not allowed: nothing with protocol icmp");
  EXPECT_EQ(ErrorOf({{"payload_prefix", "\\q"}}),
            "parameters.payload_prefix: '\\q' is not allowed: 1 to 32 bytes, such as GET /api or "
            "\\x16\\x03");
}

TEST(ParseCidr, ClearsTheBitsBeyondThePrefix) {
  const auto v4 = ParseCidr("10.1.2.3/12");
  ASSERT_TRUE(v4.ok());
  EXPECT_FALSE(v4->ipv6);
  EXPECT_EQ(v4->prefix_bits, 12);
  EXPECT_EQ(v4->address[1], 0);
  EXPECT_EQ(v4->address[0], 10);
  const auto v6 = ParseCidr("2001:db8::1");
  ASSERT_TRUE(v6.ok());
  EXPECT_TRUE(v6->ipv6);
  EXPECT_EQ(v6->prefix_bits, 128);
  EXPECT_EQ(v6->address[15], 1);
}

TEST(ParseCidr, AMappedIpv4NetworkIsThatNetwork) {
  EXPECT_EQ(*ParseCidr("::ffff:10.1.2.3/104"), *ParseCidr("10.0.0.0/8"));
  EXPECT_EQ(*ParseCidr("::ffff:10.1.2.3"), *ParseCidr("10.1.2.3"));
  EXPECT_TRUE(ParseCidr("::ffff:0:0/95")->ipv6);
  EXPECT_TRUE(ParseCidr("::/0")->ipv6);
}

}  // namespace
}  // namespace faultline::network
