// tools/test_summary.py must not let a broken test program pass: small programs that crash, hang or
// run nothing.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

namespace {

using testing::HasSubstr;
using testing::StartsWith;

struct Result {
  int exit_code = -1;
  std::string output;
};

class Runner : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/faultline-runner-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    dir_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  // A program that does what `script` says; $1 is its --gtest_output.
  std::string Program(const std::string& name, const std::string& script) {
    const std::string path = dir_ + "/" + name;
    std::ofstream(path) << "#!/bin/sh\n" << script << "\n";
    chmod(path.c_str(), 0755);
    return path;
  }
  // One that writes a report with these test cases.
  std::string Reporting(const std::string& cases, int exit_code) {
    return Program("reporting",
                   fmt::format("cat >\"${{1#--gtest_output=xml:}}\" <<'END'\n"
                               "<testsuites><testsuite name='S'>{}</testsuite></testsuites>\n"
                               "END\nexit {}",
                               cases, exit_code));
  }

  Result Summary(const std::string& arguments) {
    Result result;
    const std::string command =
        fmt::format("FAULTLINE_TEST_RESULTS={}/results python3 {}/tools/test_summary.py {} 2>&1",
                    dir_, FAULTLINE_SOURCE_DIR, arguments);
    FILE* pipe = popen(command.c_str(), "r");
    char buffer[4096];
    for (size_t n; (n = fread(buffer, 1, sizeof(buffer), pipe)) > 0;)
      result.output.append(buffer, n);
    result.exit_code = WEXITSTATUS(pclose(pipe));
    return result;
  }
  // Runs the program and reports.
  Result Outcome(const std::string& program, const std::string& limit = "20") {
    Summary(fmt::format("run --suite s --limit {} {}", limit, program));
    return Summary("report");
  }

  std::string dir_;
};

constexpr char kPassed[] = "<testcase name='A' classname='S' status='run' result='completed'/>";
constexpr char kSkipped[] =
    "<testcase name='B' classname='S' status='run' result='skipped'>"
    "<skipped message='a_test.cc:7&#x0A;the kernel has no TCX&#x0A;'/></testcase>";
constexpr char kFailed[] =
    "<testcase name='C' classname='S' status='run' result='completed'>"
    "<failure message='1 is not 2' type=''/></testcase>";

TEST_F(Runner, CountsPassesAndTellsWhyTestsWereSkipped) {
  const Result result = Outcome(Reporting(std::string(kPassed) + kSkipped, 0));
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(result.output.ends_with("\n1 passed, 0 failed, 1 skipped\n")) << result.output;
  EXPECT_NE(result.output.find("S.B: the kernel has no TCX"), std::string::npos) << result.output;
}

TEST_F(Runner, FailsWhenATestFails) {
  const Result result = Outcome(Reporting(std::string(kPassed) + kFailed, 1));
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_TRUE(result.output.ends_with("\n1 passed, 1 failed, 0 skipped\n")) << result.output;
}

TEST_F(Runner, FailsWhenAProgramFailsAfterItsTestsPassed) {
  const Result result = Outcome(Reporting(kPassed, 3));
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_TRUE(result.output.ends_with("\n1 passed, 1 failed, 0 skipped\n")) << result.output;
}

TEST_F(Runner, FailsWhenAProgramCrashesAndCountsWhatItHadFinished) {
  const Result result = Outcome(Program(
      "crashing",
      "printf '[ RUN      ] S.A\\n[       OK ] S.A (0 ms)\\n[ RUN      ] S.B\\n'; kill -ABRT $$"));
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.output.find("crashed: SIGABRT in S.B"), std::string::npos) << result.output;
  EXPECT_TRUE(result.output.ends_with("\n1 passed, 1 failed, 0 skipped\n")) << result.output;
}

TEST_F(Runner, FailsWhenAProgramRunsNoTest) {
  EXPECT_EQ(Outcome(Reporting("", 0)).exit_code, 1);
  EXPECT_EQ(Outcome(Program("silent", "exit 0")).exit_code, 1);
  EXPECT_EQ(Outcome(dir_ + "/missing").exit_code, 1);
}

TEST_F(Runner, FailsWhenThereIsNoProgram) { EXPECT_EQ(Outcome("").exit_code, 1); }

TEST_F(Runner, EndsAProgramThatHangsAndWhatItStarted) {
  const Result result =
      Outcome(Program("hanging", fmt::format("sleep 600 & echo $! >{}/child; wait", dir_)), "0.3");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.output.find("not finished after 0.3 s"), std::string::npos) << result.output;
  std::string child;
  std::ifstream(dir_ + "/child") >> child;
  EXPECT_FALSE(std::filesystem::exists("/proc/" + child)) << child;
}

TEST_F(Runner, CountsACheckAsATest) {
  EXPECT_EQ(Summary("check --suite s --name good -- true").exit_code, 0);
  EXPECT_EQ(Summary("check --suite s --name bad -- false").exit_code, 1);
  const Result result = Summary("report");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_TRUE(result.output.ends_with("\n1 passed, 1 failed, 0 skipped\n")) << result.output;
}

TEST_F(Runner, CountsEachTestOfAnotherRunner) {
  const auto check = [this](const std::string& cases, int exit_code) {
    const std::string runner =
        Program("runner", fmt::format("echo \"<testsuites>{}</testsuites>\" >{}/junit.xml; exit {}",
                                      cases, dir_, exit_code));
    const std::string line =
        fmt::format("check --suite s --name n --report {}/junit.xml -- {}", dir_, runner);
    const int code = Summary(line).exit_code;
    return fmt::format("{}: {}", code, Summary("report").output.substr(0, 40));
  };
  EXPECT_THAT(check(std::string(kPassed) + kPassed, 0), StartsWith("0: 2 passed, 0 failed"));
  EXPECT_THAT(check(std::string(kPassed) + kFailed, 1), HasSubstr("1: failed:"));
  EXPECT_THAT(check(kPassed, 1), HasSubstr("1: failed:")) << "it failed after its tests";
  EXPECT_THAT(check("", 0), HasSubstr("1: failed:")) << "it ran no test";
}

TEST_F(Runner, TellsWhatWasSkippedAsAWhole) {
  EXPECT_EQ(Summary("skip --suite s --name n --reason 'no room'").exit_code, 0);
  const Result result = Summary("report");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_NE(result.output.find("s/n : no room"), std::string::npos) << result.output;
}

TEST_F(Runner, FailsWhenNothingRan) { EXPECT_EQ(Summary("report").exit_code, 1); }

}  // namespace
