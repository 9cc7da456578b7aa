#include "faults/network/gateway.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

namespace faultline::network {
namespace {

constexpr char kRoutes[] =
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
    "eth1\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
    "eth0\t0000000A\t0100000A\t0003\t0\t0\t0\t000000FF\t0\t0\t0\n"
    "eth0\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
    "eth0\t00000000\t0200000A\t0003\t0\t0\t200\t00000000\t0\t0\t0\n";
constexpr char kIpv6Routes[] =
    "fd000000000000000000000000000000 08 00000000000000000000000000000000 00 "
    "00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n"
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
    "fe8000000000000000000000000000ab 00000400 00000001 00000000 00000003     eth0\n";

TEST(FindGateways, TakesTheFirstDefaultRouteOfTheInterface) {
  const Gateways found = FindGateways("eth0", kRoutes, kIpv6Routes);
  EXPECT_EQ(found.ipv4, (GatewayAddress{0, 0, htonl(0xffff), htonl(0x0a000001)}));
  EXPECT_EQ(found.ipv6, (GatewayAddress{htonl(0xfe800000), 0, 0, htonl(0xab)}));
}

TEST(FindGateways, FindsNoneWhereThereIsNone) {
  EXPECT_EQ(FindGateways("eth2", kRoutes, kIpv6Routes), Gateways{});
  EXPECT_EQ(FindGateways("eth1", kRoutes, kIpv6Routes).ipv6, GatewayAddress{});
  EXPECT_EQ(FindGateways("eth0", "eth0\t00000000\tzz\t0003\t0\t0\t0\t00000000\n", "a b c\n"),
            Gateways{});
}

TEST(Gateways, AreSingleAddresses) {
  const Gateways found = FindGateways("eth0", kRoutes, kIpv6Routes);
  EXPECT_TRUE(IsOneOf(found, *ParseCidr("10.0.0.1")));
  EXPECT_TRUE(IsOneOf(found, *ParseCidr("fe80::ab")));
  for (const char* other : {"10.0.0.2", "10.0.0.1/31", "fe80::ac", "fe80::ab/127", "a00:1::"}) {
    EXPECT_FALSE(IsOneOf(found, *ParseCidr(other))) << other;
  }
  EXPECT_FALSE(IsOneOf({}, *ParseCidr("0.0.0.0")));
  EXPECT_FALSE(IsOneOf({}, *ParseCidr("::")));
}

}  // namespace
}  // namespace faultline::network
