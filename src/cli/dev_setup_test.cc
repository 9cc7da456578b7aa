#include "cli/dev_setup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/yaml.h"
#include "cli/children.h"
#include "cli/dev_host.h"

namespace faultline::cli {
namespace {

using testing::ElementsAre;

TEST(DevSetup, WithoutFlagsTheTargetIsLoopbackAndTheStateWhereTheNextOneFindsIt) {
  EXPECT_EQ(AgentConfig({}, "/tmp/d", ""),
            "targets:\n"
            "- name: \"local\"\n"
            "  interface: \"lo\"\n"
            "  labels:\n"
            "    \"name\": \"local\"\n"
            "controllers: [\"127.0.0.1:7400\"]\n"
            "state_dir: \"/run/faultline-dev\"\n"
            "socket: \"/tmp/d/agent.sock\"\n");
}

TEST(DevSetup, ADirectoryThatStaysHoldsTheStateToo) {
  DevFlags flags;
  flags.data_dir = "d";
  EXPECT_THAT(AgentConfig(flags, "/d", ""), testing::HasSubstr("state_dir: \"/d/agent\"\n"));
}

TEST(DevSetup, TheFlagsTargetIsValidYaml) {
  DevFlags flags;
  flags.interface = "eth0";
  flags.netns = "blue";
  flags.ports = {80, 443};
  flags.labels = {"service:check\"out", "version:v1"};
  const auto yaml = YamlMap::Parse(AgentConfig(flags, "/d", ""), "test");
  ASSERT_TRUE(yaml.ok()) << yaml.status();
  const auto targets = *yaml->MapList("targets");
  ASSERT_EQ(targets.size(), 1u);
  EXPECT_EQ(*targets[0].Text("netns"), "blue");
  EXPECT_THAT(*targets[0].TextList("ports"), ElementsAre("80", "443"));
  EXPECT_EQ((*targets[0].TextMap("labels"))[0].second, "check\"out");
  EXPECT_EQ(TargetText(flags), "eth0 in namespace blue, ports 80, 443");
}

TEST(DevSetup, AUsersTargetsStayOnTheirLines) {
  const std::string config = AgentConfig({}, "/d", "targets:\n- name: x");
  EXPECT_TRUE(config.starts_with("targets:\n- name: x\ncontrollers:")) << config;
}

TEST(DevSetup, FlagsThatContradictEachOtherAreRefused) {
  DevFlags both;
  both.config_path = "t.yaml";
  both.ports = {80};
  EXPECT_EQ(DetailOf(CheckDevFlags(both))->violations(0).field(), "--config");
  DevFlags netns;
  netns.netns = "blue";
  EXPECT_EQ(DetailOf(CheckDevFlags(netns))->violations(0).field(), "--netns");
  DevFlags label;
  label.labels = {"plain"};
  EXPECT_EQ(DetailOf(CheckDevFlags(label))->violations(0).field(), "--label");
  EXPECT_TRUE(CheckDevFlags({}).ok());
}

TEST(DevHost, AFileOfTargetsThatIsNotThereIsWrongUse) {
  EXPECT_EQ(*ReadTargets(""), "");
  const auto missing = ReadTargets("/nowhere.yaml");
  EXPECT_EQ(missing.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(ToString(missing.status().message()),
              testing::StartsWith("/nowhere.yaml: cannot be read: "));
}

TEST(DevHost, AnAddressThatIsNoneIsToldByItsFlag) {
  const Status status = CheckAddressIsFree("host:port");
  ASSERT_TRUE(DetailOf(status).has_value()) << status;
  EXPECT_EQ(DetailOf(status)->violations(0).field(), "--listen");
}

TEST(Children, AProgramThatIsNowhereIsNamed) {
  const auto found = FindProgram("faultline-no-such-program", "/nowhere");
  EXPECT_EQ(
      ToString(found.status().message()),
      "cannot find faultline-no-such-program: it is neither beside this program (/nowhere) nor "
      "in PATH");
}

TEST(Children, TellHowTheyEnded) {
  EXPECT_EQ((Ended{2, 0}).Text(), "with exit code 2");
  EXPECT_EQ((Ended{0, 9}).Text(), "by signal 9 (Killed)");
}

}  // namespace
}  // namespace faultline::cli
