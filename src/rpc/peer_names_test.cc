#include "rpc/peer_names.h"

#include <gtest/gtest.h>

namespace faultline::rpc {
namespace {

TEST(PeerNames, AreTheHostsOfTheMembers) {
  PeerNames names("");
  names.SetAddresses({"10.0.0.1:7401", "b.example.com:7401", "[fd00::1]:7401"});
  EXPECT_TRUE(names.Check({"10.0.0.1"}).ok());
  EXPECT_TRUE(names.Check({"x", "b.example.com"}).ok());
  EXPECT_TRUE(names.Check({"*.example.com"}).ok());
  EXPECT_TRUE(names.Check({"fd00::1"}).ok());
  EXPECT_EQ(names.refused(), 0u);
  EXPECT_EQ(
      ToString(names.Check({"agent-7.example.com"}).message()),
      "this listener is for controllers: the certificate is for agent-7.example.com, and theirs "
      "for 10.0.0.1, b.example.com, fd00::1");
  EXPECT_FALSE(names.Check({}).ok());
  EXPECT_FALSE(names.Check({"*.com"}).ok());
  EXPECT_EQ(names.refused(), 3u);
}

TEST(PeerNames, MayBeOneNameThatAllMembersShare) {
  PeerNames names("controller.faultline");
  names.SetAddresses({"10.0.0.1:7401"});
  EXPECT_TRUE(names.Check({"10.0.0.9", "controller.faultline"}).ok());
  EXPECT_EQ(DetailOf(names.Check({"10.0.0.1"}))->reason(), "PEER_CERTIFICATE");
}

}  // namespace
}  // namespace faultline::rpc
