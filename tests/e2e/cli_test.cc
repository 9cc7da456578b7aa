// The command line against a real controller: exact sentences and exit codes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "e2e/cli_support.h"
#include "tests/ports/free_ports.h"

namespace faultline::e2e {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

class Cli : public testing::Test {
 protected:
  static void SetUpTestSuite() { controller_ = new CliController; }
  static void TearDownTestSuite() {
    delete controller_;
    controller_ = nullptr;
  }
  static CliResult Run(const std::vector<std::string>& arguments) {
    return Faultline(controller_->address(), arguments);
  }
  static CliController* controller_;
};
CliController* Cli::controller_ = nullptr;

TEST_F(Cli, ListsOfAnEmptyClusterSaySoAndSucceed) {
  const std::vector<std::pair<std::string, std::string>> table = {
      {"list", "note: no experiments\n"},
      {"agents", "note: no agent has connected yet\n"},
      {"targets", "note: no targets\n"}};
  for (const auto& [command, note] : table) {
    const auto result = Run({command});
    EXPECT_EQ(result.exit_code, 0) << command;
    EXPECT_EQ(result.out, "") << command;
    EXPECT_EQ(result.err, note) << command;
    const auto json = Run({command, "--json"});
    EXPECT_EQ(json.exit_code, 0) << command;
    EXPECT_TRUE(nlohmann::json::parse(json.out).is_object()) << json.out;
  }
}

TEST_F(Cli, TheServersKindsAreThoseKnownOffline) {
  const auto online = Run({"faults", "--json"});
  EXPECT_EQ(online.exit_code, 0) << online.err;
  EXPECT_EQ(online.out, Run({"faults", "--json", "--offline"}).out);
  EXPECT_THAT(Run({"faults", "NETWORK_LATENCY"}).out, HasSubstr("delay_ms"));
}

TEST_F(Cli, ASelectorThatMatchesNothingIsNotFound) {
  const auto result =
      Run({"start", "NETWORK_LATENCY", "--target", "service:none", "--delay-ms", "100"});
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, StartsWith("error: target: 'service:none' was not found: "));
  EXPECT_THAT(result.err,
              HasSubstr("\nhint: 'faultline targets' lists the targets with their labels\n"));
}

TEST_F(Cli, BadParametersAreNamedWithValueAndRange) {
  const auto range = Run({"start", "NETWORK_LATENCY", "--target", "a:b", "--delay-ms", "-5"});
  EXPECT_EQ(range.exit_code, 2);
  EXPECT_EQ(range.err,
            "error: parameters.delay_ms: '-5' is not allowed: 0 to 60000 ms\n"
            "hint: 'faultline faults KIND' tells the kind's parameters\n");
  const auto missing = Run({"start", "NETWORK_LOSS", "--target", "a:b"});
  EXPECT_EQ(missing.exit_code, 2);
  EXPECT_EQ(missing.err,
            "error: parameters.loss_percent: '' is not allowed: it must be given: 0 to 100 %\n"
            "hint: 'faultline faults KIND' tells the kind's parameters\n");
  const auto unknown = Run({"start", "NETWORK_LOSS", "--target", "a:b", "--param", "speed=1"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_THAT(unknown.err, StartsWith("error: parameters.speed: '1' is not allowed: "));
}

TEST_F(Cli, ErrorsAboutAFileNameItsLine) {
  const TempFolder folder;
  const std::string path = folder.path() + "/x.yaml";
  std::ofstream(path) << "target: a:b\nfaults:\n- kind: NETWORK_LOSS\n  parameters:\n"
                         "    loss_percent: 5\n- kind: NETWORK_LATENCY\n  parameters: "
                         "{delay_ms: -5}\n";
  const auto refused = Run({"start", "-f", path});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_EQ(refused.err, "error: " + path +
                             ":7: faults[1].parameters.delay_ms: '-5' is not allowed: 0 to 60000 "
                             "ms\nhint: 'faultline faults KIND' tells the kind's parameters\n");
  EXPECT_EQ(Run({"start", "-f", folder.path()}).exit_code, 2);
}

TEST_F(Cli, AnUnknownKindIsAnsweredWithThoseThatExist) {
  const auto result = Run({"start", "NETWORK_GREMLINS", "--target", "a:b"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, StartsWith("error: fault_type: 'NETWORK_GREMLINS' is not allowed: one of "
                                     "NETWORK_LATENCY, NETWORK_LOSS, "));
  EXPECT_THAT(result.err, EndsWith("\nhint: 'faultline faults' lists the kinds with their "
                                   "parameters\n"));
}

TEST_F(Cli, ADurationOutOfRangeIsRefused) {
  const auto result =
      Run({"start", "NETWORK_LOSS", "--target", "a:b", "--loss-percent", "1", "--duration", "48h"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, StartsWith("error: --duration: '48h' is not allowed: a time from 1 s"));
}

TEST_F(Cli, AnUnknownExperimentIsNotFoundByEveryCommand) {
  for (const char* command : {"get", "stop", "watch", "metrics", "report"}) {
    const auto result = Run({command, "nosuch"});
    EXPECT_EQ(result.exit_code, 4) << command;
    EXPECT_EQ(result.err,
              "error: experiment_id: 'nosuch' was not found: the id of an experiment\n"
              "hint: 'faultline list' lists the experiments\n")
        << command;
  }
}

TEST_F(Cli, StoppingAllOfNothingSucceeds) {
  const auto result = Run({"stop", "--all", "--wait"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "note: nothing was running\n");
}

// Whether a signal waits until the process asks for it.
bool Blocks(pid_t pid, int signal_number) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with("SigBlk:")) continue;
    return (std::stoull(line.substr(line.find('\t')), nullptr, 16) >> (signal_number - 1) & 1) != 0;
  }
  return false;
}

TEST_F(Cli, CtrlCEndsAStreamWithExitCode0) {
  for (const char* command : {"watch", "metrics"}) {
    const TempFolder folder;
    Process process(
        {FAULTLINE_BIN_DIR "/faultline", command, "--json", "--address", controller_->address()},
        folder.path() + "/log");
    // From its first lines on it takes signals; what it is asked for takes it a moment.
    EXPECT_TRUE(Eventually([&] { return Blocks(process.pid(), SIGINT); }, std::chrono::minutes(1)));
    usleep(300'000);
    EXPECT_TRUE(process.Running()) << command;
    process.Signal(SIGINT);
    EXPECT_EQ(process.Wait(), 0) << command;
  }
}

TEST(CliUnreachable, SaysWhereItAskedAndExitsWith3) {
  const std::string address = "127.0.0.1:" + std::to_string(FreePort());
  for (const std::vector<std::string>& line :
       {std::vector<std::string>{"list"}, {"watch"}, {"metrics"}, {"stop", "--all"}}) {
    const auto result = Faultline(address, line);
    EXPECT_EQ(result.exit_code, 3) << line[0];
    EXPECT_EQ(result.err, "error: no controller answers at " + address +
                              "\nhint: is a controller running? 'faultline dev' starts one here; "
                              "--address or FAULTLINE_ADDRESS names others\n");
  }
}

TEST_F(Cli, ADeadAddressInTheListIsPassedOver) {
  const std::string dead = "127.0.0.1:" + std::to_string(FreePort());
  EXPECT_EQ(Faultline(dead + "," + controller_->address(), {"list"}).exit_code, 0);
}

TEST(CliTls, BeyondLoopbackItAsksForCertificates) {
  const auto result = Faultline("192.0.2.1:7400", {"list"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err,
              StartsWith("error: address: '192.0.2.1:7400' is not allowed: without TLS"));
}

// What the script in `script` leaves in COMPREPLY for a line.
std::set<std::string> Complete(const std::string& script, const std::string& words) {
  const std::string out = Shell("bash -c 'source " + script + "; COMP_WORDS=(" + words +
                                "); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _faultline; echo "
                                "${COMPREPLY[@]}'");
  std::set<std::string> result;
  std::istringstream split(out);
  for (std::string word; split >> word;) result.insert(word);
  return result;
}

TEST(CliCompletion, BashCompletesCommandsKindsFlagsAndChoices) {
  const TempFolder folder;
  const std::string script = folder.path() + "/completion";
  Shell(FAULTLINE_BIN_DIR "/faultline completion bash > " + script);
  EXPECT_EQ(Complete(script, "faultline st"), (std::set<std::string>{"start", "stop"}));
  EXPECT_EQ(Complete(script, "faultline start NETWORK_L"),
            (std::set<std::string>{"NETWORK_LATENCY", "NETWORK_LOSS"}));
  EXPECT_EQ(Complete(script, "faultline start NETWORK_LATENCY --del"),
            (std::set<std::string>{"--delay-ms"}));
  EXPECT_EQ(Complete(script, "faultline start NETWORK_LOSS --direction \"\""),
            (std::set<std::string>{"egress", "ingress", "both"}));
  EXPECT_EQ(Complete(script, "faultline list --qu"), (std::set<std::string>{"--quiet"}));
}

TEST(CliCompletion, ZshAcceptsItsScript) {
  EXPECT_EQ(Shell(FAULTLINE_BIN_DIR "/faultline completion zsh | zsh -n 2>&1"), "");
}

}  // namespace
}  // namespace faultline::e2e
