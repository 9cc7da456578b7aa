#include "rpc/credentials.h"

#include <gtest/gtest.h>

namespace faultline::rpc {
namespace {

TEST(Credentials, WithoutTlsOnlyLoopbackMayBeBoundOrReached) {
  for (const char* address :
       {"127.0.0.1:7400", "127.9.9.9:1", "localhost:7400", "[::1]:7400", "unix:/run/x"}) {
    EXPECT_TRUE(ListenerCredentials({}, address).ok()) << address;
    EXPECT_TRUE(ChannelCredentials({}, address).ok()) << address;
  }
  for (const char* address :
       {"0.0.0.0:7400", "10.0.0.1:7400", "[::]:7400", "example.com:7400", ""}) {
    EXPECT_EQ(ListenerCredentials({}, address).status().code(), StatusCode::kInvalidArgument)
        << address;
    EXPECT_EQ(ChannelCredentials({}, address).status().code(), StatusCode::kInvalidArgument)
        << address;
  }
}

TEST(Credentials, HalfATlsConfigurationIsRefusedWithTheMissingField) {
  TlsFiles tls;
  tls.cert_file = "/nowhere/cert.pem";
  const auto status = ListenerCredentials(tls, "127.0.0.1:7400").status();
  EXPECT_NE(ToString(status.message()).find("tls.ca_file"), std::string::npos);
}

}  // namespace
}  // namespace faultline::rpc
