#include "client/addresses.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace faultline::client {
namespace {

using testing::ElementsAre;

TEST(Addresses, AMissingPortIsTheDefaultOne) {
  EXPECT_THAT(*ParseAddresses("localhost"), ElementsAre("localhost:7400"));
  EXPECT_THAT(*ParseAddresses("[::1]"), ElementsAre("[::1]:7400"));
}

TEST(Addresses, AListKeepsItsOrderAndForgetsRepeats) {
  EXPECT_THAT(*ParseAddresses("b:1, a:2,b:1 ,[::1]:3,unix:/run/f.sock"),
              ElementsAre("b:1", "a:2", "[::1]:3", "unix:/run/f.sock"));
}

TEST(Addresses, WhatIsNoAddressIsNamed) {
  for (const char* text : {"", "a,,b", "a:", "a:0", "a:65536", "a:x", ":7400", "::1", "[::1"}) {
    const auto parsed = ParseAddresses(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_EQ(DetailOf(parsed.status())->violations(0).field(), "address") << text;
  }
}

TEST(Addresses, TheVariableIsNamedWhenItIsWhatIsWrong) {
  ::setenv(kAddressVariable, "a:1,b:port", 1);
  const auto resolved = ResolveAddresses("");
  ASSERT_FALSE(resolved.ok());
  EXPECT_EQ(DetailOf(resolved.status())->violations(0).field(), kAddressVariable);
  EXPECT_EQ(DetailOf(resolved.status())->violations(0).value(), "b:port");
  ::unsetenv(kAddressVariable);
}

TEST(Addresses, TheFlagComesBeforeTheVariableBeforeTheDefault) {
  ::unsetenv(kAddressVariable);
  EXPECT_THAT(*ResolveAddresses(""), ElementsAre("127.0.0.1:7400"));
  ::setenv(kAddressVariable, "x:1,y:2", 1);
  EXPECT_THAT(*ResolveAddresses(""), ElementsAre("x:1", "y:2"));
  EXPECT_THAT(*ResolveAddresses("z:3"), ElementsAre("z:3"));
  ::unsetenv(kAddressVariable);
}

}  // namespace
}  // namespace faultline::client
