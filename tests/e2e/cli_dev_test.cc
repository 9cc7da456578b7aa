// `faultline dev`: one command, two programs, and nothing of them left when it ends.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "e2e/cli_support.h"
#include "tests/ports/free_ports.h"

namespace faultline::e2e {
namespace {

using testing::HasSubstr;

constexpr std::chrono::seconds kPatience{60};

std::string ReadAll(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

class CliDev : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = WhyNotHere(); !why.empty()) GTEST_SKIP() << why;
    net_ = std::make_unique<NetPair>();
    address_ = fmt::format("127.0.0.1:{}", FreePort());
  }
  void Start() { Start({"--data-dir", folder_.path() + "/data", "--interface", "svc0"}); }
  void Start(const std::vector<std::string>& flags) {
    std::vector<std::string> command = {FAULTLINE_BIN_DIR "/faultline",
                                        "dev",
                                        "--listen",
                                        address_,
                                        "--peer-listen",
                                        fmt::format("127.0.0.1:{}", FreePort()),
                                        "--netns",
                                        net_->service(),
                                        "--label",
                                        "service:checkout"};
    command.insert(command.end(), flags.begin(), flags.end());
    dev_ = std::make_unique<Process>(command, log_path());
  }
  bool Ready() {
    return Eventually([&] { return ReadAll(log_path()).find("Ctrl-C") != std::string::npos; },
                      kPatience);
  }
  std::string log_path() const { return folder_.path() + "/dev.log"; }
  // Process ids of its children, by the ends of their command lines.
  pid_t ChildPid(const std::string& program) const { return ChildPid(program, dev_->pid()); }
  static pid_t ChildPid(const std::string& program, pid_t parent) {
    std::istringstream children(ReadAll(fmt::format("/proc/{}/task/{}/children", parent, parent)));
    for (pid_t pid = 0; children >> pid;) {
      std::string command = ReadAll(fmt::format("/proc/{}/cmdline", pid));
      if (command.substr(0, command.find('\0')).ends_with(program)) return pid;
    }
    return 0;
  }
  static bool Gone(pid_t pid) { return kill(pid, 0) != 0; }

  const TempFolder folder_;
  std::unique_ptr<NetPair> net_;
  std::string address_;
  std::unique_ptr<Process> dev_;
};

TEST_F(CliDev, OneCommandIsEnoughForAnExperimentAndCtrlCEndsAll) {
  Start();
  ASSERT_TRUE(Ready()) << ReadAll(log_path());
  const auto started = Faultline(address_, {"start", "NETWORK_LOSS", "--target", "service:checkout",
                                            "--loss-percent", "10", "--wait", "--json"});
  ASSERT_EQ(started.exit_code, 0) << started.err;
  const auto json = nlohmann::json::parse(started.out);
  EXPECT_EQ(json["experiment"]["targets"][0]["phase"], "TARGET_PHASE_ACTIVE");
  EXPECT_GT(json["start_to_active_ms"].get<double>(), 0);
  const std::string id = json["experiment_id"];
  EXPECT_EQ(Faultline(address_, {"metrics", id, "--count", "3"}).exit_code, 0);
  EXPECT_EQ(Faultline(address_, {"stop", id, "--wait"}).exit_code, 0);
  EXPECT_EQ(Faultline(address_, {"watch", id}).exit_code, 0);
  const pid_t agent = ChildPid("faultline-agent"), controller = ChildPid("faultline-controller");
  ASSERT_NE(agent, 0);
  ASSERT_NE(controller, 0);
  dev_->Signal(SIGINT);
  EXPECT_EQ(dev_->Wait(), 0) << ReadAll(log_path());
  EXPECT_TRUE(Gone(agent));
  EXPECT_TRUE(Gone(controller));
}

TEST_F(CliDev, ExperimentsStackOnATargetAndWhatContradictsIsRefused) {
  Start();
  ASSERT_TRUE(Ready()) << ReadAll(log_path());
  const auto start = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "start");
    arguments.insert(arguments.end(), {"--target", "service:checkout", "--wait", "--json"});
    const auto started = Faultline(address_, arguments);
    EXPECT_EQ(started.exit_code, 0) << started.err;
    return nlohmann::json::parse(started.out)["experiment_id"].get<std::string>();
  };
  const std::string delay = start({"NETWORK_LATENCY", "--delay-ms", "20"});
  const std::string fail = start({"CONNECT_FAIL", "--peer-port", "9"});
  const std::string loss = start({"NETWORK_LOSS", "--loss-percent", "10"});
  const auto told = Faultline(address_, {"start", "NETWORK_LATENCY", "--target", "service:checkout",
                                         "--delay-ms", "5", "--wait"});
  EXPECT_EQ(told.exit_code, 0) << told.err;
  EXPECT_THAT(told.err, HasSubstr("also carries " + delay + ", " + fail + ", " + loss));
  EXPECT_THAT(told.err, HasSubstr("network/egress: delay_ms 25 ms, loss_percent 10 %"));

  const auto got = Faultline(address_, {"get", delay, "--json"});
  ASSERT_EQ(got.exit_code, 0) << got.err;
  const auto effective = nlohmann::json::parse(got.out)["effective"][0];
  ASSERT_EQ(effective["rules"].size(), 4u);
  EXPECT_EQ(effective["rules"][0]["experiment_id"], loss);
  EXPECT_EQ(effective["rules"][1]["experiment_id"], delay);
  EXPECT_EQ(effective["rules"][3]["experiment_id"], fail);
  EXPECT_EQ(effective["combined"][0]["name"], "delay_ms");
  EXPECT_EQ(effective["combined"][0]["value"], 25);
  const auto shown = Faultline(address_, {"get", loss});
  EXPECT_THAT(shown.out, HasSubstr("in the order in which they act:"));
  EXPECT_THAT(shown.out, HasSubstr("together network/egress: delay_ms 25 ms, loss_percent 10 %"));

  const auto busy = Faultline(address_, {"start", "CONNECT_FAIL", "--target", "service:checkout",
                                         "--peer-port", "9", "--request-id", "second"});
  EXPECT_EQ(busy.exit_code, 5);
  EXPECT_THAT(busy.err, HasSubstr("experiment '" + fail + "' has network/egress/connects"));
  EXPECT_THAT(busy.err, HasSubstr("'second' wants the same"));
  EXPECT_THAT(busy.err, HasSubstr("hint: 'faultline stop " + fail + "' ends the other experiment"));
}

TEST_F(CliDev, AFileStartsSeveralFaultsAndAnAnswerStartsThemAgain) {
  Start();
  ASSERT_TRUE(Ready()) << ReadAll(log_path());
  const std::string file = folder_.path() + "/experiment.yaml", again = file + ".json";
  std::ofstream(file) << "target: service:checkout\nseed: 7\nduration: 1m\nfaults:\n"
                         "- {kind: NETWORK_LATENCY, parameters: {delay_ms: 5}}\n"
                         "- {kind: NETWORK_LOSS, parameters: {loss_percent: 1}}\n";
  for (const auto& path : {file, again}) {
    const auto started = Faultline(address_, {"start", "-f", path, "--wait", "--json"});
    ASSERT_EQ(started.exit_code, 0) << started.err;
    const auto experiment = nlohmann::json::parse(started.out)["experiment"];
    EXPECT_EQ(experiment["faults"].size(), 2u);
    EXPECT_EQ(experiment["seed"], "7");
    EXPECT_EQ(experiment["duration"], "60s");
    for (const auto& pair : experiment["targets"]) EXPECT_EQ(pair["phase"], "TARGET_PHASE_ACTIVE");
    const std::string id = experiment["experiment_id"];
    EXPECT_EQ(Faultline(address_, {"stop", id, "--wait"}).exit_code, 0);
    std::ofstream(again) << Faultline(address_, {"get", id, "--json"}).out;
  }
}

TEST_F(CliDev, WhenTheAgentDiesItEndsTheControllerAndSaysSo) {
  Start();
  ASSERT_TRUE(Ready()) << ReadAll(log_path());
  const pid_t agent = ChildPid("faultline-agent"), controller = ChildPid("faultline-controller");
  kill(agent, SIGKILL);
  EXPECT_EQ(dev_->Wait(), 1);
  EXPECT_THAT(ReadAll(log_path()), HasSubstr("error: the agent ended by signal 9 (Killed)"));
  EXPECT_TRUE(Gone(controller));
}

TEST_F(CliDev, KilledItTakesBothWithIt) {
  Start();
  ASSERT_TRUE(Ready()) << ReadAll(log_path());
  const pid_t agent = ChildPid("faultline-agent"), controller = ChildPid("faultline-controller");
  dev_->Signal(SIGKILL);
  EXPECT_EQ(dev_->Wait(), 128 + SIGKILL);
  EXPECT_TRUE(Eventually([&] { return Gone(agent) && Gone(controller); }, kPatience));
}

TEST_F(CliDev, WhatNobodyWasLeftToUndoTheNextOneUndoes) {
  const auto settings = [&] {
    return Shell("ip netns exec " + net_->service() +
                 " sysctl -n net.ipv4.conf.lo.route_localnet net.ipv4.conf.lo.accept_local");
  };
  const std::string state = "/run/faultline-dev";
  if (std::filesystem::exists(state)) GTEST_SKIP() << state << " is another's";
  Start({"--interface", "lo"});
  ASSERT_TRUE(Ready()) << ReadAll(log_path());
  const auto started = Faultline(address_, {"start", "NETWORK_LATENCY", "--target",
                                            "service:checkout", "--delay-ms", "10", "--wait"});
  ASSERT_EQ(started.exit_code, 0) << started.err;
  ASSERT_EQ(settings(), "1\n1");
  const pid_t agent = ChildPid("faultline-agent");
  ASSERT_NE(agent, 0);
  const pid_t guardian = ChildPid("faultline-agent", agent);
  ASSERT_NE(guardian, 0);
  kill(agent, SIGSTOP);  // it would start another guardian
  kill(guardian, SIGKILL);
  kill(agent, SIGKILL);
  EXPECT_EQ(dev_->Wait(), 1);
  EXPECT_EQ(settings(), "1\n1") << "nobody is left to restore them";
  std::filesystem::remove(log_path());
  Start({"--interface", "lo"});
  ASSERT_TRUE(Ready()) << ReadAll(log_path());
  EXPECT_EQ(settings(), "0\n0");
  dev_->Signal(SIGINT);
  EXPECT_EQ(dev_->Wait(), 0) << ReadAll(log_path());
  std::filesystem::remove_all(state);
}

TEST_F(CliDev, ATakenPortIsExitCode2) {
  const CliController other;
  address_ = other.address();
  Start();
  EXPECT_EQ(dev_->Wait(), 2);
  EXPECT_THAT(ReadAll(log_path()),
              HasSubstr("error: cannot listen on " + address_ + ": Address already in use"));
}

TEST_F(CliDev, AProgramThatCannotBeSetUpIsExitCode2WithItsOwnSentence) {
  const std::string targets = folder_.path() + "/targets.yaml";
  std::ofstream(targets) << "targets:\n- name: x\n  interface: eth0\n  colour: red\n";
  const auto result =
      Faultline(address_, {"dev", "--listen", address_, "--peer-listen",
                           fmt::format("127.0.0.1:{}", FreePort()), "--config", targets});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("error: the agent ended with exit code 2: "));
  EXPECT_THAT(result.err, HasSubstr("colour"));
}

}  // namespace
}  // namespace faultline::e2e
