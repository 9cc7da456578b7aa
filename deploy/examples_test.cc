// The example configurations are valid, as they are and with everything that is commented out.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "agent/config.h"
#include "server/config.h"

namespace faultline {
namespace {

std::string Read(const std::string& name) {
  std::ifstream file(FAULTLINE_SOURCE_DIR "/deploy/" + name);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// Keys are commented out by "#key" or "#  key", prose by "# ".
std::string WithEverySetting(const std::string& yaml) {
  std::istringstream lines(yaml);
  std::string result;
  for (std::string line; std::getline(lines, line);) {
    const bool prose = line.size() < 3 || (line[1] == ' ' && line[2] != ' ');
    if (line.starts_with('#') && !prose) line.erase(0, 1);
    result += line + "\n";
  }
  return result;
}

// The controller's configuration is read from files only.
StatusOr<server::Config> ReadController(const std::string& yaml) {
  const std::string path = testing::TempDir() + "/controller-" + std::to_string(getpid()) + ".yaml";
  std::ofstream(path) << yaml;
  auto config = server::ReadConfig(path);
  std::filesystem::remove(path);
  if (!config.ok()) return config;
  if (const Status complete = server::Complete(&*config); !complete.ok()) return complete;
  return config;
}

TEST(Examples, OfTheAgentAreItsDefaults) {
  const auto config = agent::ParseConfig(Read("agent.yaml"), "agent.yaml");
  ASSERT_TRUE(config.ok()) << config.status();
  const agent::Config defaults;
  EXPECT_EQ(config->controllers, defaults.controllers);
  EXPECT_EQ(config->heartbeat_ns, defaults.heartbeat_ns);
  EXPECT_EQ(config->state_dir, defaults.state_dir);
  EXPECT_EQ(config->socket, defaults.socket);
  EXPECT_EQ(config->metrics_rate_hz, defaults.metrics_rate_hz);
  EXPECT_EQ(config->lane, defaults.lane);
  EXPECT_EQ(config->http_listen, agent::kDefaultHttp);
  EXPECT_TRUE(config->targets.empty());
}

TEST(Examples, OfTheAgentAreValidWithEverySetting) {
  const auto config = agent::ParseConfig(WithEverySetting(Read("agent.yaml")), "agent.yaml");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->agent_id, "web-1");
  EXPECT_FALSE(config->tls_key_file.empty());
  EXPECT_EQ(config->protected_ports, std::vector<uint16_t>{2222});
  ASSERT_EQ(config->targets.size(), 1u);
  EXPECT_EQ(config->targets[0].target_id(), "web-1/checkout");
}

TEST(Examples, OfTheControllerAreItsDefaults) {
  const auto config = ReadController(Read("controller.yaml"));
  ASSERT_TRUE(config.ok()) << config.status();
  const server::Config defaults;
  EXPECT_EQ(config->node_id, defaults.node_id);
  EXPECT_EQ(config->data_dir, defaults.data_dir);
  EXPECT_EQ(config->api_listen, defaults.api_listen);
  EXPECT_EQ(config->peer_listen, defaults.peer_listen);
  EXPECT_EQ(config->lease, defaults.lease);
  EXPECT_EQ(config->log_level, defaults.log_level);
  EXPECT_EQ(config->log_format, defaults.log_format);
  EXPECT_EQ(config->http_listen, server::kDefaultHttp);
}

TEST(Examples, OfTheControllerAreValidWithEverySetting) {
  // The only file that is read together with it.
  const std::string secret = ::testing::TempDir() + fmt::format("/secret-{}", getpid());
  std::ofstream(secret) << "0123456789abcdef";
  std::string text = WithEverySetting(Read("controller.yaml"));
  const std::string shown = "/etc/faultline/webhook.secret";
  ASSERT_NE(text.find(shown), std::string::npos);
  text.replace(text.find(shown), shown.size(), secret);
  const auto config = ReadController(text);
  std::filesystem::remove(secret);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->webhooks.size(), 1u);
  EXPECT_EQ(config->members.size(), 3u);
  EXPECT_TRUE(config->tls.enabled());
}

}  // namespace
}  // namespace faultline
