#include "server/webhook_config.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace faultline::server {
namespace {

class WebhookYaml : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/faultline-webhooks-XXXXXX";
    directory = mkdtemp(name);
    Secret("secret", "0123456789abcdef\n");
  }
  void TearDown() override { std::filesystem::remove_all(directory); }
  std::string Secret(const std::string& name, const std::string& text) const {
    std::ofstream(directory + "/" + name) << text;
    return directory + "/" + name;
  }
  static StatusOr<std::vector<WebhookConfig>> Read(const std::string& text) {
    const auto yaml = YamlMap::Parse(text, "c.yaml");
    if (!yaml.ok()) return yaml.status();
    return ReadWebhooks(*yaml);
  }
  // One webhook with these keys beside the secret's.
  std::string ErrorOf(const std::string& keys) const {
    const auto read =
        Read(fmt::format("webhooks:\n- {{secret_file: {}/secret, {}}}\n", directory, keys));
    EXPECT_FALSE(read.ok()) << keys;
    return ToString(read.status().message());
  }
  std::string directory;
};

TEST_F(WebhookYaml, IsReadWhole) {
  const std::string base64 = Secret("base64", "whsec_MDEyMzQ1Njc4OWFiY2RlZmc=");
  const auto read = Read(fmt::format(
      "webhooks:\n"
      "- {{name: ops, url: 'https://h.example/x', secret_file: {0}/secret, ca_file: ca.pem,\n"
      "   events: [stop, lost_target]}}\n"
      "- {{name: all, url: 'http://127.0.0.1:80', secret_file: {1}}}\n",
      directory, base64));
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_EQ(read->size(), 2u);
  EXPECT_EQ((*read)[0].name, "ops");
  EXPECT_EQ((*read)[0].url.host, "h.example");
  EXPECT_EQ((*read)[0].key, "0123456789abcdef");
  EXPECT_EQ((*read)[0].ca_file, "ca.pem");
  EXPECT_EQ((*read)[0].events, (control::WebhookTypes{chaos::v1::WEBHOOK_EVENT_TYPE_STOP,
                                                      chaos::v1::WEBHOOK_EVENT_TYPE_LOST_TARGET}));
  EXPECT_EQ((*read)[1].key, "0123456789abcdefg");
  EXPECT_EQ((*read)[1].events.size(), 5u);
  EXPECT_TRUE(Read("id: 1\n")->empty());
}

TEST_F(WebhookYaml, IsRefusedWithFileLineKeyValueAndWhatIsAllowed) {
  EXPECT_EQ(ErrorOf("name: Ops, url: 'https://h'"),
            "c.yaml:2: name: 'Ops' is not allowed: 1 to 40 of a-z, 0-9, '-' and '_'");
  EXPECT_EQ(ErrorOf("url: 'https://h'"),
            "c.yaml:2: name: '' is not allowed: 1 to 40 of a-z, 0-9, '-' and '_'");
  EXPECT_EQ(ErrorOf("name: a, url: 'http://h.example'"),
            "c.yaml:2: url: 'http://h.example' is not allowed: https://host[:port][/path], or "
            "http:// to this host's loopback, without a user and a fragment");
  EXPECT_EQ(ErrorOf("name: a, url: 'https://h', events: [begin]"),
            "c.yaml:2: events: 'begin' is not allowed: start, stop, verdict, halt or lost_target");
  EXPECT_EQ(ErrorOf("name: a, url: 'https://h', retries: 3"),
            "c.yaml:2: unknown key 'retries': allowed are name, url, secret_file, ca_file, events");
  EXPECT_EQ(ToString(Read(fmt::format("webhooks:\n"
                                      "- {{name: a, url: 'https://h', secret_file: {0}/secret}}\n"
                                      "- {{name: a, url: 'https://i', secret_file: {0}/secret}}\n",
                                      directory))
                         .status()
                         .message()),
            "c.yaml:3: name: 'a' is not allowed: each name once");
}

TEST_F(WebhookYaml, ASecretThatIsNoneIsRefusedWithoutBeingShown) {
  const auto error = [&](const std::string& path) {
    const auto read = Read("webhooks: [{name: a, url: 'https://h', secret_file: " + path + "}]");
    return ToString(read.status().message());
  };
  const std::string short_one = Secret("short", "hunter2");
  EXPECT_EQ(error(short_one), "c.yaml:1: secret_file: '" + short_one +
                                  "' is not allowed: a file with a secret of 16 to 1024 bytes");
  const std::string broken = Secret("broken", "whsec_&&&&");
  EXPECT_EQ(error(broken), "c.yaml:1: secret_file: '" + broken +
                               "' is not allowed: a file whose text behind whsec_ is base64");
  EXPECT_EQ(error(directory + "/none"),
            "c.yaml:1: secret_file: '" + directory +
                "/none' is not allowed: a file that can be read, with the webhook's secret");
  EXPECT_NE(error(Secret("long", std::string(2'000, 'x'))), "");
}

TEST_F(WebhookYaml, HasABoundedNumberOfWebhooks) {
  std::string text = "webhooks:\n";
  for (size_t i = 0; i <= kMaxWebhooks; ++i) {
    text +=
        fmt::format("- {{name: h{}, url: 'https://h', secret_file: {}/secret}}\n", i, directory);
  }
  EXPECT_EQ(ToString(Read(text).status().message()),
            "c.yaml:2: webhooks: '17 webhooks' is not allowed: at most 16");
}

// The example of the Standard Webhooks specification's reference libraries.
TEST(SignPost, IsThatOfTheSpecification) {
  const std::string key = [] {
    // base64 MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw
    const unsigned char bytes[] = {0x31, 0xf2, 0x90, 0xf6, 0xbf, 0x06, 0x29, 0x8a,
                                   0xab, 0x4f, 0x08, 0xd4, 0x3c, 0x3f, 0x08, 0x2c,
                                   0xf6, 0x48, 0xa3, 0x62, 0xda, 0x2d, 0xa4, 0xb0};
    return std::string(reinterpret_cast<const char*>(bytes), sizeof bytes);
  }();
  EXPECT_EQ(SignPost(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", "{\"test\": 2432232314}"),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

}  // namespace
}  // namespace faultline::server
