// tools/demo.py, which scripts/demo.sh runs once everything is built.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "e2e/cli_support.h"

namespace faultline::e2e {
namespace {

using testing::HasSubstr;

constexpr std::chrono::minutes kPatience{5};  // it takes most of one where nothing else runs
constexpr double kDelayMs = 100;

class Demo : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = WhyNotHere(); !why.empty()) GTEST_SKIP() << why;
    std::filesystem::create_directory(scratch());
    before_ = signal(SIGHUP, SIG_DFL);  // it may be ignored here, and so in the demo
  }
  void TearDown() override { signal(SIGHUP, before_); }
  // What it makes for itself goes below scratch().
  void Start(const std::vector<std::string>& options) {
    std::vector<std::string> line = {"/usr/bin/env", "TMPDIR=" + scratch(),
                                     "python3",      FAULTLINE_SOURCE_DIR "/tools/demo.py",
                                     "--bin",        FAULTLINE_BIN_DIR};
    line.insert(line.end(), options.begin(), options.end());
    demo_ = std::make_unique<Process>(line, log_path());
  }
  bool Says(const std::string& text) const {
    return Eventually([&] { return Log().find(text) != std::string::npos; }, kPatience);
  }
  std::string Log() const {
    std::ifstream file(log_path());
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  // Files, network namespaces and processes of it that are still there.
  std::string LeftBehind() const {
    std::string left;
    for (const auto& entry : std::filesystem::directory_iterator(scratch())) {
      left += entry.path().string() + "\n";
    }
    for (const char* side : {"srv", "cli"}) {
      const std::string path = fmt::format("/run/netns/fl-demo-{}-{}", side, demo_->pid());
      if (std::filesystem::exists(path)) left += path + "\n";
    }
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      std::ifstream file(entry.path() / "cmdline");
      std::stringstream command;
      command << file.rdbuf();
      if (command.str().find(scratch()) != std::string::npos) left += command.str() + "\n";
    }
    return left;
  }
  std::string scratch() const { return folder_.path() + "/scratch"; }
  std::string log_path() const { return folder_.path() + "/demo.log"; }
  std::string json_path() const { return folder_.path() + "/figures.json"; }

  const TempFolder folder_;
  std::unique_ptr<Process> demo_;
  sighandler_t before_ = SIG_DFL;
};

TEST_F(Demo, TellsWhatItMeasuredAndKeptItRunsUntilCtrlC) {
  Start({"--keep", "--json", json_path()});
  ASSERT_TRUE(Says("Ctrl-C here ends everything")) << Log();
  const std::string log = Log(), before = "export FAULTLINE_ADDRESS=";
  const size_t begin = log.find(before) + before.size();
  const auto agents =
      Faultline(log.substr(begin, log.find('\n', begin) - begin), {"agents", "--json"});
  EXPECT_EQ(agents.exit_code, 0) << agents.err;
  EXPECT_THAT(agents.out, HasSubstr("demo-host"));
  demo_->Signal(SIGINT);
  EXPECT_EQ(demo_->Wait(), 0) << Log();
  EXPECT_EQ(LeftBehind(), "");
  std::ifstream file(json_path());
  const auto figures = nlohmann::json::parse(file);
  for (const char* name :
       {"baseline_p50_ms", "injected_p50_ms", "added_delay_median_error_us", "leader_kill_gap_ms",
        "agent_kill_heal_ms", "start_to_kernel_ms", "unmatched_p50_ms_during"}) {
    ASSERT_TRUE(figures.contains(name)) << name << "\n" << figures;
    EXPECT_GE(figures[name].get<double>(), 0) << name;
  }
  EXPECT_GE(figures["injected_p50_ms"].get<double>(), kDelayMs);
  for (const char* phase : {"before", "during", "leader killed", "after"}) {
    EXPECT_THAT(log, HasSubstr("\n" + std::string(phase) + " "));
  }
}

class DemoEndedBy : public Demo, public testing::WithParamInterface<int> {};

TEST_P(DemoEndedBy, TheSignalLeavesNothingAlsoWhenItComesTwice) {
  Start({});
  ASSERT_TRUE(Says("NETWORK_LATENCY delay")) << Log();
  demo_->Signal(GetParam());
  demo_->Signal(GetParam());
  EXPECT_EQ(demo_->Wait(), 128 + GetParam()) << Log();
  EXPECT_EQ(LeftBehind(), "");
}

INSTANTIATE_TEST_SUITE_P(Signals, DemoEndedBy, testing::Values(SIGINT, SIGTERM, SIGHUP));

}  // namespace
}  // namespace faultline::e2e
