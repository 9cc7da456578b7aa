#include "base/yaml.h"

#include <gtest/gtest.h>

#include <fstream>

namespace faultline {
namespace {

YamlMap Parsed(const std::string& text) {
  auto map = YamlMap::Parse(text, "test.yaml");
  EXPECT_TRUE(map.ok()) << map.status();
  return *map;
}

TEST(Yaml, ReadsEveryKindOfValue) {
  const YamlMap map = Parsed(
      "name: a\nport: 80\nlease: 250ms\nlist: [x, y]\nlabels: {k: v}\non: true\nitems:\n- n: 1\n- "
      "n: 2\n");
  EXPECT_EQ(*map.Text("name"), "a");
  EXPECT_EQ(*map.Integer("port", 0, 1, 65535), 80);
  EXPECT_EQ(*map.DurationNs("lease", 0), 250'000'000u);
  EXPECT_EQ(map.TextList("list")->size(), 2u);
  EXPECT_EQ(map.TextMap("labels")->at(0).second, "v");
  EXPECT_TRUE(*map.Flag("on", false));
  EXPECT_EQ(*map.MapList("items")->at(1).Integer("n", 0, 0, 9), 2);
}

TEST(Yaml, AbsentKeysGiveTheFallback) {
  const YamlMap map = Parsed("");
  EXPECT_EQ(*map.Text("name", "fallback"), "fallback");
  EXPECT_EQ(*map.DurationNs("lease", 7), 7u);
  EXPECT_TRUE(map.TextList("list")->empty());
}

TEST(Yaml, ErrorsNameFileLineKeyValueAndWhatIsAllowed) {
  const auto port = Parsed("name: a\nport: 99999\n").Integer("port", 0, 1, 65535);
  EXPECT_EQ(ToString(port.status().message()),
            "test.yaml:2: port: '99999' is not allowed: a whole number from 1 to 65535");
  const auto unknown = Parsed("name: a\nprot: 1\n").AllowOnly({"name", "port"});
  EXPECT_EQ(ToString(unknown.message()), "test.yaml:2: unknown key 'prot': allowed are name, port");
}

TEST(Yaml, WhatACallerFindsWrongIsRefusedAtItsLine) {
  EXPECT_EQ(ToString(Parsed("a: 1\nports: [0]\n").Refuse("ports", "0", "1 to 65535").message()),
            "test.yaml:2: ports: '0' is not allowed: 1 to 65535");
}

TEST(Yaml, BrokenFilesAreRefusedWithTheirLine) {
  EXPECT_EQ(YamlMap::Parse("a: [1, 2", "f.yaml").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(YamlMap::Parse("- 1\n- 2", "f.yaml").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(YamlMap::ReadFile("/nowhere/f.yaml").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(ToString(YamlMap::ReadFile("/tmp").status().message()),
            "/tmp: cannot be read: Is a directory (errno 21)");
}

TEST(Yaml, WhatCouldBeReadInTwoWaysIsRefused) {
  EXPECT_EQ(ToString(Parsed("id: 1\nid: 2\n").AllowOnly({"id"}).message()),
            "test.yaml:2: key 'id' stands twice");
  const std::string utf16(
      "\xFF\xFE"
      "a\0:\0",
      6);
  for (const auto& text : {utf16, std::string("a: \xFF"), std::string("a: b\0", 5)}) {
    EXPECT_EQ(ToString(YamlMap::Parse(text, "f.yaml").status().message()),
              "f.yaml: not a text in UTF-8");
  }
}

TEST(Yaml, AStreamWithoutEndIsRefused) {
  std::ifstream zeros("/dev/zero");
  EXPECT_EQ(ToString(YamlMap::Read(zeros, "it").status().message()),
            "it: larger than 1048576 bytes");
}

TEST(Yaml, DurationsBeyondCountingAreRefused) {
  for (const char* text : {"-1s", "1e300h", "inf", "nan"}) {
    EXPECT_FALSE(Parsed(fmt::format("lease: {}", text)).DurationNs("lease", 0).ok()) << text;
  }
}

TEST(Yaml, TellsKeysAndLines) {
  const YamlMap map = Parsed("b: 1\na: {x: 2,\n y: 3}\n");
  EXPECT_EQ(map.Keys(), (std::vector<std::string>{"b", "a"}));
  EXPECT_EQ(map.Line("a"), 2);
  EXPECT_EQ(map.Map("a")->Line("y"), 3);
  EXPECT_EQ(map.Line("absent"), 1);
  EXPECT_EQ(Parsed("").Line("absent"), 1);
}

}  // namespace
}  // namespace faultline
