// `faultline metrics` in a terminal, of a real agent.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "e2e/agent_system.h"
#include "e2e/cli_support.h"
#include "e2e/pty.h"

namespace faultline::e2e {
namespace {

using nlohmann::json;
using testing::HasSubstr;

std::string ReadAll(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

class Live : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = WhyNotHere(); !why.empty()) GTEST_SKIP() << why;
    net_ = std::make_unique<NetPair>();
    system_ = std::make_unique<AgentSystem>(*net_);
    const Status agent = system_->StartAgent();
    ASSERT_TRUE(agent.ok()) << agent;
  }
  // In a shell that outlives it, as a person's, and notes how the terminal is before and after.
  std::unique_ptr<Pty> Open(const std::string& arguments) const {
    return std::make_unique<Pty>("trap : INT; cd " + folder_.path() + "; stty -g >before; " +
                                     FAULTLINE_BIN_DIR "/faultline metrics " + arguments +
                                     " --address " + system_->address() +
                                     "; echo $? >exit_code; stty -g >after",
                                 80, 24);
  }
  // Waits for the end; the terminal must be as it was.
  void ExpectEnd(Pty& pty) const {
    ASSERT_TRUE(pty.UntilItEnds()) << pty.printed();
    EXPECT_EQ(ReadAll(folder_.path() + "/exit_code"), "0\n") << pty.printed();
    EXPECT_NE(ReadAll(folder_.path() + "/before"), "");
    EXPECT_EQ(ReadAll(folder_.path() + "/after"), ReadAll(folder_.path() + "/before"));
    const auto& modes = pty.screen().modes();
    EXPECT_TRUE(!modes.contains("?25") || modes.at("?25")) << "the cursor is hidden";
    EXPECT_TRUE(!modes.contains("?1049") || !modes.at("?1049")) << "the other screen shows";
    EXPECT_THAT(pty.screen().unknown(), testing::IsEmpty());
  }

  const TempFolder folder_;
  std::unique_ptr<NetPair> net_;
  std::unique_ptr<AgentSystem> system_;
};

TEST_F(Live, TheChartGoesOnWhileNothingComesFitsTheTerminalAndCtrlCLeavesItAsItWas) {
  const auto pty = Open("--live --target service:checkout");
  EXPECT_TRUE(pty->Until([](const Screen& screen) {
    return screen.Count("up to p99") > 0 && screen.Count("last update") == 0;
  })) << pty->printed();
  system_->agent().Signal(SIGKILL);
  EXPECT_TRUE(pty->UntilItShows("last update ")) << pty->printed();
  const auto silent = pty->screen().Lines();
  EXPECT_TRUE(pty->Until([&](const Screen& screen) {
    return screen.Count("last update ") == 1 && screen.Lines().back() != silent.back();
  })) << pty->printed();

  pty->Resize(60, 12);
  const size_t before = pty->printed().size();
  EXPECT_TRUE(pty->Until([&](const Screen& screen) {
    return pty->printed().find("\033[2J", before) != std::string::npos &&
           screen.Count("last update ") == 1;
  })) << pty->printed();
  pty->Type("\003");
  ExpectEnd(*pty);
  const auto lines = pty->screen().Lines();
  ASSERT_FALSE(lines.empty());
  EXPECT_THAT(lines.front(), testing::StartsWith("all targets"));
  EXPECT_THAT(lines.back(), HasSubstr("last update "));
  EXPECT_EQ(pty->screen().Count("requests"), 2u) << "one picture";
}

TEST_F(Live, AStreamOfANamedExperimentEndsWithHowItEnded) {
  const auto started =
      Faultline(system_->address(), {"start", "NETWORK_LATENCY", "--target", "target:e2e/checkout",
                                     "--delay-ms", "1", "--duration", "600s", "--wait", "--json"});
  ASSERT_EQ(started.exit_code, 0) << started.err << system_->Logs();
  const std::string id = json::parse(started.out)["experiment_id"];
  const auto pty = Open(id);
  EXPECT_TRUE(pty->UntilItShows("P99 OVER TIME")) << pty->printed();
  EXPECT_EQ(Faultline(system_->address(), {"stop", id, "--wait", "--reason", "enough"}).exit_code,
            0);
  ExpectEnd(*pty);
  const auto lines = pty->screen().Lines();
  ASSERT_GE(lines.size(), 3u);
  EXPECT_EQ(lines[0], "note: " + id + " has ended: completed, stopped: enough");
  EXPECT_THAT(lines[1], testing::StartsWith("EXPERIMENT"));
  EXPECT_THAT(lines[2], testing::StartsWith(id));

  // In a pipe, after its course.
  const auto printed = Faultline(system_->address(), {"metrics", id});
  EXPECT_EQ(printed.exit_code, 0) << printed.err;
  EXPECT_EQ(printed.err, lines[0] + "\n");
  std::istringstream documents(printed.out);
  json last;
  for (std::string line; std::getline(documents, line);) last = json::parse(line);
  EXPECT_EQ(last["end"]["status"], "EXPERIMENT_STATUS_COMPLETED");
  EXPECT_EQ(last["end"]["reason"], "enough");
  EXPECT_FALSE(last.contains("p99_latency_ms") || last.contains("target_id"));
}

}  // namespace
}  // namespace faultline::e2e
