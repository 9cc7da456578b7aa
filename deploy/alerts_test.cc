// Every alert of prometheus/alerts.yml has its cases in prometheus/alerts_test.yml, and they hold:
// promtool runs Prometheus's own evaluation of them.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <vector>

#include "base/yaml.h"

namespace faultline {
namespace {

constexpr char kAlert[] = "      - alert: ";

std::string PathOf(const std::string& name) {
  return FAULTLINE_SOURCE_DIR "/deploy/prometheus/" + name;
}

std::string Read(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

struct Ended {
  int code;
  std::string text;
};

Ended TestRules(const std::string& path) {
  FILE* pipe = popen(("promtool test rules " + path + " 2>&1").c_str(), "r");
  std::string text;
  char buffer[4096];
  for (size_t n = 0; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) text.append(buffer, n);
  const int status = pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text};
}

bool HavePromtool() { return std::system("command -v promtool >/dev/null") == 0; }

// What alerts_test.yml says of an alert.
struct Cases {
  int raised = 0;  // times at which it is expected, each with labels and annotations
  bool quiet_at_all = false;
  bool quiet_before = false;  // in a group of series by which it is raised later
};

std::vector<YamlMap> ListOf(const YamlMap& map, const std::string& key) {
  auto list = map.MapList(key);
  EXPECT_TRUE(list.ok()) << list.status();
  return list.ok() ? *std::move(list) : std::vector<YamlMap>();
}

std::map<std::string, Cases> ReadCases() {
  std::map<std::string, Cases> cases;
  const auto file = YamlMap::ReadFile(PathOf("alerts_test.yml"));
  EXPECT_TRUE(file.ok()) << file.status();
  if (!file.ok()) return cases;
  for (const YamlMap& group : ListOf(*file, "tests")) {
    std::map<std::string, uint64_t> quiet_ns;
    for (const YamlMap& expected : ListOf(group, "alert_rule_test")) {
      const std::string name = *expected.Text("alertname");
      const uint64_t at_ns = *expected.DurationNs("eval_time", 0);
      Cases& of = cases[name];
      const auto alerts = ListOf(expected, "exp_alerts");
      if (alerts.empty()) {
        of.quiet_at_all = true;
        quiet_ns.try_emplace(name, at_ns);
        continue;
      }
      for (const YamlMap& alert : alerts) {
        EXPECT_TRUE(alert.Has("exp_labels") && alert.Has("exp_annotations")) << name;
      }
      ++of.raised;
      of.quiet_before |= quiet_ns.contains(name) && quiet_ns[name] < at_ns;
    }
  }
  return cases;
}

std::vector<YamlMap> Alerts() {
  std::vector<YamlMap> alerts;
  const auto file = YamlMap::ReadFile(PathOf("alerts.yml"));
  EXPECT_TRUE(file.ok()) << file.status();
  if (!file.ok()) return alerts;
  for (const YamlMap& group : ListOf(*file, "groups")) {
    for (const YamlMap& rule : ListOf(group, "rules")) alerts.push_back(rule);
  }
  return alerts;
}

TEST(Alerts, AreRaisedWhenTheyShouldBeAndOnlyThen) {
  if (!HavePromtool()) GTEST_SKIP() << "promtool is not installed";
  const Ended tested = TestRules(PathOf("alerts_test.yml"));
  EXPECT_EQ(tested.code, 0) << tested.text;
  EXPECT_NE(tested.text.find("SUCCESS"), std::string::npos) << tested.text;
}

// promtool itself says nothing of an alert without a case, or of a case without its alert.
TEST(Alerts, AllHaveACaseInWhichTheyAreRaisedAndOneInWhichTheyAreNot) {
  std::map<std::string, Cases> cases = ReadCases();
  for (const YamlMap& alert : Alerts()) {
    const std::string name = *alert.Text("alert");
    const Cases& of = cases[name];
    EXPECT_GE(of.raised, 1) << name << " is never raised in alerts_test.yml";
    EXPECT_TRUE(of.quiet_at_all) << name << " is never quiet in alerts_test.yml";
    EXPECT_TRUE(of.quiet_before) << name << " is not quiet before its time in alerts_test.yml";
    cases.erase(name);
  }
  for (const auto& [name, of] : cases) ADD_FAILURE() << "alerts.yml has no alert " << name;
}

// Each alert's time to wait, left out or doubled, is noticed: its cases stand where they must.
TEST(Alerts, HaveCasesThatTellTheirTimes) {
  if (!HavePromtool()) GTEST_SKIP() << "promtool is not installed";
  char pattern[] = "/tmp/faultline_alerts_XXXXXX";
  const std::string folder = mkdtemp(pattern);
  std::filesystem::copy(PathOf("alerts_test.yml"), folder);
  const std::string rules = Read(PathOf("alerts.yml"));
  for (const int times : {0, 2}) {
    std::vector<std::string> waiting;  // alerts, in the file's order
    std::string text = rules;
    for (const YamlMap& alert : Alerts()) {
      if (!alert.Has("for")) continue;
      waiting.push_back(*alert.Text("alert"));
      const std::string before = "\n        for: " + *alert.Text("for") + "\n";
      const size_t begin = text.find(kAlert + waiting.back() + "\n");
      ASSERT_NE(begin, std::string::npos) << waiting.back();
      const size_t at = text.find(before, begin);
      ASSERT_LT(at, text.find(kAlert, begin + 1)) << waiting.back();
      const uint64_t wait_ms = *alert.DurationNs("for", 0) / 1'000'000 * times;
      text.replace(at, before.size(), fmt::format("\n        for: {}ms\n", wait_ms));
    }
    EXPECT_GE(waiting.size(), 2u);
    std::ofstream(folder + "/alerts.yml") << text;
    const Ended tested = TestRules(folder + "/alerts_test.yml");
    EXPECT_EQ(tested.code, 1) << tested.text;
    for (const std::string& name : waiting) {
      EXPECT_NE(tested.text.find("alertname: " + name + ", time: "), std::string::npos)
          << name << " with " << times << " times its `for`";
    }
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace faultline
