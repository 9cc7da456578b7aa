#include "base/log.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "base/log_testing.h"

namespace faultline {
namespace {

TEST(Log, AsJsonIsOneObjectOnEachLine) {
  const std::string text = Logged("json", [] {
    FL_LOG(warn, "a \"quoted\" path C:\\x\nand a second line {}", "\x01\xff");
    FL_LOG(info, "second");
  });
  std::istringstream lines(text);
  std::string first, second, none;
  ASSERT_TRUE(std::getline(lines, first) && std::getline(lines, second));
  EXPECT_FALSE(std::getline(lines, none));
  const auto json = nlohmann::json::parse(first);
  EXPECT_EQ(json["level"], "warning");
  EXPECT_EQ(json["message"], "a \"quoted\" path C:\\x\\x0aand a second line \\x01\\xff");
  EXPECT_EQ(json["program"], "test");
  EXPECT_EQ(json["time"].get<std::string>().back(), 'Z');
  EXPECT_EQ(nlohmann::json::parse(second)["message"], "second");
}

TEST(Log, SaysWhatItsLinesAreAbout) {
  const auto work = [] {
    const LogFields outer{{"experiment_id", "e1"}};
    {
      const LogFields inner{{"request_id", "r\"1"}, {"agent_id", ""}};
      FL_LOG(info, "both");
    }
    FL_LOG(info, "one");
  };
  std::istringstream json_lines(Logged("json", work));
  std::string both, one;
  std::getline(json_lines, both);
  std::getline(json_lines, one);
  EXPECT_EQ(nlohmann::json::parse(both)["experiment_id"], "e1");
  EXPECT_EQ(nlohmann::json::parse(both)["request_id"], "r\"1");
  EXPECT_FALSE(nlohmann::json::parse(both).contains("agent_id"));
  EXPECT_FALSE(nlohmann::json::parse(one).contains("request_id"));
  const std::string text = Logged("text", work);
  EXPECT_NE(text.find(": both experiment_id=e1 request_id=r\"1\n"), std::string::npos) << text;
  EXPECT_NE(text.find(": one experiment_id=e1\n"), std::string::npos) << text;
}

TEST(Log, AFieldThatIsGivenAgainIsThereOnceAndComesBackAfterwards) {
  const auto lines = LoggedLines([] {
    const LogFields outer{{"experiment_id", "e1"}, {"target_id", "a/x"}};
    {
      const LogFields inner{{"target_id", "a/x"}, {"experiment_id", "e2"}, {"agent_id", "a"}};
      FL_LOG(info, "inner");
      const LogFields nothing{{"target_id", ""}};
      FL_LOG(info, "still");
    }
    FL_LOG(info, "outer");
  });
  EXPECT_EQ(lines, (std::vector<std::string>{
                       "I inner experiment_id=e2 target_id=a/x agent_id=a",
                       "I still experiment_id=e2 target_id=a/x agent_id=a",
                       "I outer experiment_id=e1 target_id=a/x",
                   }));
}

TEST(Log, TellsAtALevelThatIsOnlyKnownWhereItRuns) {
  const auto work = [] {
    for (const auto level : {LogLevel::trace, LogLevel::debug, LogLevel::warn}) {
      const LogFields about{{"target_id", "a/x"}};
      Log(level, "number {}", static_cast<int>(level));
    }
  };
  EXPECT_EQ(LoggedLines(work),
            (std::vector<std::string>{"D number 1 target_id=a/x", "W number 3 target_id=a/x"}));
}

TEST(Log, RefusesUnknownLevelsAndFormats) {
  EXPECT_EQ(InitLog("x", "loud").code(), StatusCode::kInvalidArgument);
  const Status format = InitLog("x", "info", "xml");
  EXPECT_EQ(ToString(format.message()), "log format: 'xml' is not allowed: text or json");
}

}  // namespace
}  // namespace faultline
