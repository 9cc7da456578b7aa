#include "server/config.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace faultline::server {
namespace {

class ConfigFile : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/faultline-config-XXXXXX";
    directory = mkdtemp(name);
    path = directory + "/controller.yaml";
  }
  void TearDown() override { std::filesystem::remove_all(directory); }
  std::string ErrorOf(const std::string& text) {
    std::ofstream(path) << text;
    auto config = ReadConfig(path);
    const Status status = config.ok() ? Complete(&*config) : config.status();
    EXPECT_FALSE(status.ok()) << text;
    return ToString(status.message());
  }
  std::string directory, path;
};

TEST(Config, WithoutAnythingIsOneNodeOnLoopback) {
  Config config;
  ASSERT_TRUE(Complete(&config).ok());
  EXPECT_EQ(config.api_listen, "127.0.0.1:7400");
  ASSERT_EQ(config.members.size(), 1u);
  EXPECT_EQ(config.members[0].id, 1u);
  EXPECT_EQ(config.members[0].address, "127.0.0.1:7401");
  EXPECT_EQ(config.lease, std::chrono::seconds(10));
}

TEST_F(ConfigFile, IsReadWhole) {
  std::ofstream(path) << "id: 2\n"
                         "data_dir: /data\n"
                         "api_listen: 10.0.0.2:7400\n"
                         "peer_listen: 10.0.0.2:7401\n"
                         "members: ['1=10.0.0.1:7401', '2=10.0.0.2:7401', '3=[fd00::3]:7401']\n"
                         "tls: {ca_file: ca, cert_file: cert, key_file: key}\n"
                         "lease: 5s\n"
                         "log_level: debug\n";
  auto config = ReadConfig(path);
  ASSERT_TRUE(config.ok()) << config.status();
  ASSERT_TRUE(Complete(&*config).ok());
  EXPECT_EQ(config->node_id, 2u);
  EXPECT_EQ(config->data_dir, "/data");
  ASSERT_EQ(config->members.size(), 3u);
  EXPECT_EQ(config->members[2].address, "[fd00::3]:7401");
  EXPECT_EQ(config->tls.key_file, "key");
  EXPECT_EQ(config->lease, std::chrono::seconds(5));
  EXPECT_EQ(config->log_level, "debug");
}

TEST_F(ConfigFile, IsRefusedWithFileLineAndKey) {
  EXPECT_EQ(
      ErrorOf("id: 1\nleese: 5s\n"),
      path +
          ":2: unknown key 'leese': allowed are id, data_dir, api_listen, peer_listen, "
          "members, http_listen, join, tls, peer_name, lease, baseline, log_level, log_format, "
          "webhooks");
  EXPECT_EQ(ErrorOf("id: none\n"),
            path + ":1: id: 'none' is not allowed: a whole number from 1 to 9223372036854775807");
}

TEST_F(ConfigFile, IsRefusedWhenItsMembersMakeNoCluster) {
  EXPECT_EQ(
      ErrorOf("members: [127.0.0.1:7401]\n"),
      path +
          ":1: members: '127.0.0.1:7401' is not allowed: id=host:port, such as 1=127.0.0.1:7401, "
          "several separated by commas");
  EXPECT_EQ(ErrorOf("id: 4\nmembers: ['1=a:1', '2=b:1']\n"),
            "id: '4' is not allowed: the id of one of the members");
  EXPECT_EQ(ErrorOf("members: ['1=a:1', '1=b:1']\n"), "members: '1' is not allowed: each id once");
  EXPECT_EQ(ErrorOf("members: '1=a:1,2=b:1,3=c:1,4=d:1,5=e:1,6=f:1,7=g:1,8=h:1'\n"),
            "members: '8 members' is not allowed: at most 7");
}

TEST_F(ConfigFile, IsRefusedWhenAValueIsOutOfRange) {
  EXPECT_EQ(ErrorOf("lease: 100ms\n"),
            path + ":1: lease: '100ms' is not allowed: 500 ms to 60 s, such as 10s");
  EXPECT_EQ(ErrorOf("id: 1\nlease: soon\n"),
            path + ":2: lease: 'soon' is not allowed: 500 ms to 60 s, such as 10s");
  EXPECT_EQ(ErrorOf("baseline: 500ms\n"),
            path + ":1: baseline: '500ms' is not allowed: 1 s to 60 s, such as 10s");
  EXPECT_EQ(ErrorOf("baseline: 61s\n"),
            path + ":1: baseline: '61s' is not allowed: 1 s to 60 s, such as 10s");
  EXPECT_EQ(ErrorOf("lease: [10s]\n"),
            path + ":1: lease: 'a list' is not allowed: a duration such as 250ms, 10s or 5m");
  EXPECT_EQ(ErrorOf("api_listen: '7400'\n"), "api_listen: '7400' is not allowed: host:port");
  EXPECT_EQ(ErrorOf("peer_listen: 0.0.0.0:7401\n"),
            "peer_listen: '0.0.0.0:7401' is not allowed: without TLS only a loopback address such "
            "as 127.0.0.1:7400; set tls for any other");
}

// Flags are not in the file: they are looked at by the whole of what was given.
TEST(Config, IsRefusedWhenALeaseOrABaselineFromElsewhereIsOutOfRange) {
  Config config;
  config.lease = std::chrono::milliseconds(100);
  EXPECT_EQ(ToString(Complete(&config).message()), "lease: '100ms' is not allowed: 500 ms to 60 s");
  config.lease = std::chrono::seconds(60);
  config.baseline = std::chrono::seconds(61);
  EXPECT_EQ(ToString(Complete(&config).message()),
            "baseline: '61000ms' is not allowed: 1 s to 60 s");
}

TEST_F(ConfigFile, IsRefusedWithANameOfCertificatesThatItDoesNotHave) {
  EXPECT_EQ(ErrorOf("peer_name: controller.internal\n"),
            "peer_name: 'controller.internal' is not allowed: none without tls: it is a "
            "certificate's");
}

TEST_F(ConfigFile, IsRefusedWithoutTlsWhenAnotherMemberIsOnAnotherMachine) {
  constexpr char kAllowed[] =
      " is not allowed: without TLS only a loopback address such as 127.0.0.1:7400; set tls for "
      "any other";
  const std::string members = "members: ['1=127.0.0.1:7401', '2=10.0.0.2:7401']\n";
  EXPECT_EQ(ErrorOf(members), std::string("members: '2=10.0.0.2:7401'") + kAllowed);
  EXPECT_EQ(ErrorOf("join: 10.0.0.2:7401\n"), std::string("join: '10.0.0.2:7401'") + kAllowed);
  std::ofstream(path) << members << "tls: {ca_file: ca, cert_file: cert, key_file: key}\n";
  auto config = ReadConfig(path);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_TRUE(Complete(&*config).ok());
}

}  // namespace
}  // namespace faultline::server
