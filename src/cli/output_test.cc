#include "cli/output.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <sstream>

#include "chaos/v1/chaos.pb.h"

namespace faultline::cli {
namespace {

struct Captured {
  std::ostringstream out, err;
  Output output;
  explicit Captured(Terminal terminal = {}) : output(out, err, terminal) {}
};

// Gives a variable another value, or none, while it lives.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* before = getenv(name)) before_ = before;
    Set(value);
  }
  ~Variable() { Set(before_ ? before_->c_str() : nullptr); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
  void Set(const char* value) {
    if (value == nullptr) {
      unsetenv(name_);
    } else {
      setenv(name_, value, 1);
    }
  }

 private:
  const char* const name_;
  std::optional<std::string> before_;
};

// Standard output is a terminal while it lives, if the host has any.
class OnATerminal {
 public:
  OnATerminal() : master_(posix_openpt(O_RDWR | O_NOCTTY)) {
    if (master_ < 0 || grantpt(master_) != 0 || unlockpt(master_) != 0) return;
    const int terminal = open(ptsname(master_), O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal < 0) return;
    fflush(stdout);
    stdout_ = dup(STDOUT_FILENO);
    dup2(terminal, STDOUT_FILENO);
    close(terminal);
  }
  ~OnATerminal() {
    if (stdout_ >= 0) {
      dup2(stdout_, STDOUT_FILENO);
      close(stdout_);
    }
    if (master_ >= 0) close(master_);
  }
  OnATerminal(const OnATerminal&) = delete;
  OnATerminal& operator=(const OnATerminal&) = delete;
  bool there() const { return stdout_ >= 0; }

 private:
  const int master_;
  int stdout_ = -1;
};

TEST(DetectTerminal, ADumbOneGetsNoEscapeSequences) {
  Variable no_color("NO_COLOR", nullptr);
  Variable term("TERM", "xterm");
  const auto detect = [] {
    const OnATerminal on;
    return on.there() ? DetectTerminal() : Terminal{};
  };
  Terminal terminal = detect();
  if (!terminal.out) GTEST_SKIP() << "this host has no pseudo terminals";
  EXPECT_TRUE(terminal.redraws);
  EXPECT_TRUE(terminal.color);
  no_color.Set("1");
  terminal = detect();
  EXPECT_TRUE(terminal.redraws);
  EXPECT_FALSE(terminal.color);
  no_color.Set(nullptr);
  for (const char* dumb : {"dumb", "", static_cast<const char*>(nullptr)}) {
    term.Set(dumb);
    terminal = detect();
    EXPECT_TRUE(terminal.out);
    EXPECT_FALSE(terminal.redraws) << (dumb ? dumb : "not set");
    EXPECT_FALSE(terminal.color) << (dumb ? dumb : "not set");
  }
}

TEST(DetectTerminal, HasBlocksInALocaleOfUtf8) {
  Variable locale("LC_ALL", "C.UTF-8");
  EXPECT_TRUE(DetectTerminal().utf8);
  for (const char* other : {"C", "POSIX", "no_SUCH.UTF-8"}) {
    locale.Set(other);
    EXPECT_FALSE(DetectTerminal().utf8) << other;
  }
}

TEST(ExitCodes, AreAsDocumented) {
  const std::vector<std::pair<StatusCode, int>> table = {
      {StatusCode::kOk, 0},
      {StatusCode::kAborted, 1},
      {StatusCode::kInternal, 1},
      {StatusCode::kInvalidArgument, 2},
      {StatusCode::kUnavailable, 3},
      {StatusCode::kDeadlineExceeded, 3},
      {StatusCode::kNotFound, 4},
      {StatusCode::kFailedPrecondition, 5},
      {StatusCode::kAlreadyExists, 5},
      {StatusCode::kPermissionDenied, 6},
      {StatusCode::kUnauthenticated, 6},
      {StatusCode::kCancelled, 130},
  };
  for (const auto& [code, exit_code] : table) {
    EXPECT_EQ(static_cast<int>(ExitCodeFor(Status(code, "x"))), exit_code)
        << static_cast<int>(code);
  }
}

TEST(Output, AnErrorIsOneSentenceOnStandardError) {
  Captured c;
  EXPECT_EQ(c.output.Error(MakeError(StatusCode::kInternal, "it broke")), ExitCode::kFailed);
  EXPECT_EQ(c.err.str(), "error: it broke\n");
  EXPECT_EQ(c.out.str(), "");
}

TEST(Output, OneViolationThatTheSentenceTellsIsNotToldTwice) {
  Captured c;
  c.output.Error(FieldError("duration", "0s", "1 s to 24 h"));
  EXPECT_EQ(c.err.str(), "error: duration: '0s' is not allowed: 1 s to 24 h\n");
}

TEST(Output, EveryViolationThatTheSentenceDoesNotTellHasALine) {
  Captured c;
  Status status = MakeError(StatusCode::kInvalidArgument, "two things are wrong");
  chaos::v1::ErrorDetail detail;
  for (const char* field : {"a", "b"}) {
    auto* violation = detail.add_violations();
    violation->set_field(field);
    violation->set_value("1");
    violation->set_allowed("2");
  }
  AttachDetail(status, detail);
  c.output.Error(status);
  EXPECT_EQ(
      c.err.str(),
      "error: two things are wrong\n  a: '1' is not allowed: 2\n  b: '1' is not allowed: 2\n");
}

TEST(Output, ABusyTargetsErrorSaysHowToFreeIt) {
  const Status status = MakeDetailedError(StatusCode::kFailedPrecondition, "TARGET_BUSY",
                                          "taken by x1", {{"experiment_id", "x1"}});
  EXPECT_EQ(HintFor(status), "'faultline stop x1' ends the other experiment");
}

TEST(Output, AFullDisksErrorSaysWhatToDo) {
  const Status status =
      MakeDetailedError(StatusCode::kUnavailable, "STORAGE_FAILED", "node 1 can store nothing");
  EXPECT_NE(HintFor(status).find("disk is full or fails"), std::string::npos);
}

TEST(Output, WhatIsWrongWithTlsIsSaidInsteadOfAskingForAController) {
  const auto hint = [](std::map<std::string, std::string> facts) {
    return HintFor(MakeDetailedError(StatusCode::kUnavailable, "UNREACHABLE", "x", facts));
  };
  EXPECT_NE(hint({{"addresses", "a:1"}}).find("is a controller running?"), std::string::npos);
  EXPECT_NE(hint({{"tls", "MISSING_HERE"}}).find("give --ca-file, "), std::string::npos);
  EXPECT_NE(hint({{"tls", "MISSING_THERE"}}).find("leave out --ca-file, "), std::string::npos);
  EXPECT_NE(hint({{"tls", "CERTIFICATE"}}).find("certificate must be for the host"),
            std::string::npos);
}

TEST(Output, AnInterruptedCommandSaysNothing) {
  Captured c;
  EXPECT_EQ(c.output.Error(MakeError(StatusCode::kCancelled, "cancelled")), ExitCode::kInterrupted);
  EXPECT_EQ(c.err.str(), "");
}

TEST(Output, JsonHasTheFieldNamesOfTheProtoAndItsEmptyFields) {
  chaos::v1::StopExperimentResponse response;
  response.add_experiments()->set_experiment_id("x");
  const std::string json = ToJson(response, false);
  EXPECT_NE(json.find("\"experiment_id\":\"x\""), std::string::npos) << json;
  EXPECT_NE(json.find("\"status\":\"EXPERIMENT_STATUS_UNSPECIFIED\""), std::string::npos) << json;
  EXPECT_EQ(json.find('\n'), std::string::npos);
}

TEST(Output, JsonOfWhatIsSetLeavesOutWhatIsEmpty) {
  chaos::v1::MetricUpdate update;
  update.set_experiment_id("x");
  update.mutable_end()->set_phase("stopped");
  Captured c;
  c.output.JsonLine(update, JsonFields::kSet);
  EXPECT_EQ(c.out.str(), "{\"experiment_id\":\"x\",\"end\":{\"phase\":\"stopped\"}}\n");
}

TEST(Output, JsonIsIndentedOnlyOnATerminal) {
  chaos::v1::ListAgentsResponse response;
  response.add_agents()->set_agent_id("a");
  Captured pipe, terminal({.out = true, .color = false, .columns = 80});
  pipe.output.Json(response);
  terminal.output.Json(response);
  const auto lines = [](const std::string& text) {
    return std::count(text.begin(), text.end(), '\n');
  };
  EXPECT_EQ(lines(pipe.out.str()), 1);
  EXPECT_GT(lines(terminal.out.str()), 3);
}

TEST(Output, ColoursOnlyWhereTheyAreWelcome) {
  Captured plain({.out = true, .color = false, .columns = 80});
  Captured colored({.out = true, .color = true, .columns = 80});
  EXPECT_EQ(plain.output.Styled("x", Style::kBad), "x");
  EXPECT_EQ(colored.output.Styled("x", Style::kBad), "\033[31mx\033[0m");
  EXPECT_EQ(colored.output.Styled("x", Style::kPlain), "x");
}

TEST(Output, AnErrorAboutOneFieldIsOneSentence) {
  std::ostringstream out, err;
  Output output(out, err, {});
  EXPECT_EQ(output.Error(FieldError("id", "x", "the id of one", "R", StatusCode::kNotFound)),
            ExitCode::kNotFound);
  EXPECT_EQ(err.str(), "error: id: 'x' was not found: the id of one\n");
}

}  // namespace
}  // namespace faultline::cli
