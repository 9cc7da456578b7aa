// The whole program but for its main and a controller.
#include "cli/app.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "cli/help.h"

namespace faultline::cli {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

struct Result {
  ExitCode code;
  std::string out, err;
};

Result Faultline(const std::vector<std::string>& arguments) {
  std::ostringstream out, err;
  Output output(out, err, {});
  const ExitCode code = Run(arguments, output, std::make_shared<client::Cancellation>());
  return {code, out.str(), err.str()};
}

TEST(App, WithoutACommandItShowsItsHelp) {
  const auto result = Faultline({});
  EXPECT_EQ(result.code, ExitCode::kOk);
  EXPECT_THAT(result.out, HasSubstr("Usage: faultline COMMAND [FLAGS]"));
  for (const char* command : {"start", "stop", "get", "list", "watch", "metrics", "report",
                              "agents", "targets", "faults", "dev", "completion", "version"}) {
    EXPECT_THAT(result.out, HasSubstr(std::string("\n  ") + command + " ")) << command;
  }
}

TEST(App, EveryCommandsHelpHasExamples) {
  for (const char* command : {"start", "stop", "get", "list", "watch", "metrics", "report",
                              "agents", "targets", "faults", "dev", "completion", "version"}) {
    const auto result = Faultline({command, "--help"});
    EXPECT_EQ(result.code, ExitCode::kOk) << command;
    EXPECT_THAT(result.out, HasSubstr("\nExamples:\n  ")) << command;
    EXPECT_THAT(result.out, HasSubstr("--json")) << command;
  }
}

TEST(App, AKindsFlagsStandInItsHelpWithoutAController) {
  const auto result = Faultline({"start", "NETWORK_LATENCY", "--help"});
  EXPECT_THAT(result.out, HasSubstr("Parameters of NETWORK_LATENCY:\n  --delay-ms NUMBER"));
  EXPECT_THAT(result.out, HasSubstr("[0 to 60000 ms; required]"));
  EXPECT_THAT(result.out, HasSubstr("--distribution uniform|normal|pareto|table"));
}

TEST(App, TheVersionIsAFlagToo) {
  EXPECT_EQ(Faultline({"--version"}).code, ExitCode::kOk);
  EXPECT_EQ(Faultline({"--version"}).out, Faultline({"version"}).out);
}

TEST(App, AnAddressThatIsEmptyIsNotTheDefault) {
  const auto result = Faultline({"list", "--address", ""});
  EXPECT_EQ(result.code, ExitCode::kUsage);
  EXPECT_EQ(result.err, "error: --address: must not be empty; see 'faultline list --help'\n");
}

TEST(App, WhatIsWrongOnTheLineIsOneSentenceAndExitCode2) {
  const auto unknown = Faultline({"list", "--frob"});
  EXPECT_EQ(unknown.code, ExitCode::kUsage);
  EXPECT_EQ(unknown.err, "error: unknown flag '--frob'; see 'faultline list --help'\n");
  EXPECT_EQ(Faultline({"frob", "--x"}).code, ExitCode::kUsage);
  EXPECT_EQ(Faultline({"frob"}).err, "error: unknown command 'frob'; see 'faultline --help'\n");
  EXPECT_EQ(Faultline({"list", "\xff"}).err,
            "error: '\\xff' on the command line is not a text in UTF-8\n");
  EXPECT_EQ(Faultline({"stop"}).err,
            "error: stop takes ids of experiments or --all; see 'faultline stop --help'\n");
  EXPECT_EQ(Faultline({"stop", "x", "--all"}).code, ExitCode::kUsage);
  EXPECT_EQ(Faultline({"list", "--status", "odd"}).err,
            "error: --status: 'odd' is not allowed: one of pending, running, completed, failed\n");
  EXPECT_EQ(Faultline({"list", "--timeout", "soon"}).code, ExitCode::kUsage);
  EXPECT_EQ(Faultline({"list", "--address", "x:y"}).code, ExitCode::kUsage);
}

TEST(App, ATimeOrANumberOutOfItsRangeIsRefusedByItsFlag) {
  const std::vector<std::vector<std::string>> lines = {
      {"list", "--timeout", "1e30"},     {"list", "--timeout", "25h"},
      {"list", "--limit", "0"},          {"start", "NETWORK_LOSS", "--duration", "1e30"},
      {"report", "x", "--wait", "soon"}, {"stop", "x", "--wait", "--wait-time", "11m"},
      {"metrics", "--rate", "nan"},      {"metrics", "--count", "1000000001"},
      {"dev", "--port", "65536"},
  };
  for (const auto& line : lines) {
    const auto result = Faultline(line);
    EXPECT_EQ(result.code, ExitCode::kUsage);
    EXPECT_THAT(result.err, StartsWith(fmt::format("error: {}: '{}' is not allowed: a ",
                                                   *(line.end() - 2), line.back())));
  }
}

TEST(App, AFlagThatWouldBePassedOverIsRefused) {
  EXPECT_EQ(Faultline({"stop", "x", "--wait-time", "5s"}).err,
            "error: --wait-time requires --wait; see 'faultline stop --help'\n");
  EXPECT_EQ(Faultline({"metrics", "--live", "--json"}).err,
            "error: --live and --json cannot be given together\n");
  EXPECT_EQ(Faultline({"report", "x", "--histograms"}).err,
            "error: --histograms is for JSON: give --json too\n");
  const std::vector<std::vector<std::string>> lines = {
      {"metrics", "--per-target"},
      {"metrics", "--live", "--histogram"},
      {"report", "x", "--html", "-", "--markdown"},
      {"report", "x", "--html", "-", "--json"},
      {"report", "x", "--markdown", "--json"},
      {"list", "-q", "--json"},
      {"dev", "--address", "127.0.0.1:7400"},
      {"dev", "--ca-file", "ca.pem"},
  };
  for (const auto& line : lines) {
    EXPECT_EQ(Faultline(line).code, ExitCode::kUsage) << fmt::format("{}", fmt::join(line, " "));
  }
}

TEST(App, ANodeTakesNoPlaceOfItsOwn) {
  const auto result = Faultline({"cluster", "replace", "2", "2", "node2:7401"});
  EXPECT_EQ(result.code, ExitCode::kUsage);
  EXPECT_THAT(result.err, StartsWith("error: node 2 cannot take the place of node 2"));
}

TEST(App, ANodeIsANumberAboveZero) {
  for (const std::vector<std::string>& line :
       {std::vector<std::string>{"add", "four", "node4:7401"},
        {"promote", "four"},
        {"transfer", "four"}}) {
    std::vector<std::string> arguments = {"cluster"};
    arguments.insert(arguments.end(), line.begin(), line.end());
    EXPECT_EQ(Faultline(arguments).err,
              "error: NODE: 'four' is not allowed: a whole number above 0; see 'faultline cluster "
              "--help'\n");
  }
  EXPECT_THAT(Faultline({"cluster", "replace", "2", "0", "node4:7401"}).err,
              StartsWith("error: NEW: '0' is not allowed: a whole number above 0"));
}

TEST(App, StartTakesAKindOrAFile) {
  const std::string see = "; see 'faultline start --help'\n";
  EXPECT_EQ(Faultline({"start"}).err, "error: start takes a KIND of fault, or -f FILE" + see);
  EXPECT_EQ(Faultline({"start", "NETWORK_LOSS"}).err, "error: --target is required" + see);
  EXPECT_EQ(Faultline({"start", "NETWORK_LOSS", "-f", "x.yaml"}).err,
            "error: start takes a KIND of fault or -f FILE, not both" + see);
  EXPECT_EQ(Faultline({"start", "-f", "/nowhere.yaml"}).code, ExitCode::kUsage);
  EXPECT_EQ(
      Faultline({"start", "NETWORK_LOSS", "--target", "a:b", "--seed", "-1"}).err,
      "error: --seed: '-1' is not allowed: a whole number from 0 to 18446744073709551615" + see);
  EXPECT_EQ(Faultline({"start", "NETWORK_LOSS", "--target", "a:b", "--speed", "1"}).err,
            "error: unknown flag '--speed'" + see);
  const auto misspelt =
      Faultline({"start", "NETWORK_LSS", "--target", "a:b", "--loss-percent", "1"}).err;
  EXPECT_THAT(misspelt, StartsWith("error: 'NETWORK_LSS' is no kind that this program knows "
                                   "(NETWORK_LATENCY, NETWORK_LOSS, "));
  EXPECT_THAT(misspelt, EndsWith("), so it has no flag '--loss-percent'; --param gives a parameter "
                                 "of a kind that only the controller knows\n"));
}

TEST(App, UnderscoresInFlagsAreAsGoodAsDashes) {
  const auto result = Faultline({"start", "NETWORK_LATENCY", "--delay_ms", "5", "--request_id=a_b",
                                 "--target", "a:b", "--address", "no-port:x"});
  EXPECT_EQ(result.err.find("not expected"), std::string::npos) << result.err;
}

TEST(App, GlobalFlagsMayStandBeforeTheCommand) {
  EXPECT_EQ(Faultline({"--json", "version"}).out.substr(0, 11), "{\"version\":");
}

TEST(App, TheKindsAreKnownOffline) {
  const auto result = Faultline({"faults", "--offline", "network-loss"});
  EXPECT_EQ(result.code, ExitCode::kOk);
  EXPECT_THAT(result.out, HasSubstr("loss_percent"));
  const auto unknown = Faultline({"faults", "--offline", "NO_SUCH"});
  EXPECT_EQ(unknown.code, ExitCode::kNotFound);
}

TEST(App, CompletionKnowsCommandsFlagsKindsAndParameters) {
  for (const char* shell : {"bash", "zsh"}) {
    const std::string script = Faultline({"completion", shell}).out;
    for (const char* word : {"metrics", "--wait-time", "NETWORK_LATENCY", "--jitter-ms",
                             "egress ingress both", "faultline list -q"}) {
      EXPECT_THAT(script, HasSubstr(word)) << shell;
    }
  }
}

TEST(Help, WrapsAtBlanks) {
  EXPECT_EQ(Wrapped("one two three", 9, 2), "one two\n  three");
  EXPECT_EQ(Wrapped("", 9, 2), "");
}

}  // namespace
}  // namespace faultline::cli
