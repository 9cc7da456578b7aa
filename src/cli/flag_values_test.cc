#include "cli/flag_values.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <optional>

namespace faultline::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr TimeRange kRange{milliseconds(500), seconds(60)};

// The error of a line; empty when there is none.
std::string ErrorOf(CLI::App& app, const std::string& flag, const std::string& value) {
  try {
    app.parse(std::vector<std::string>{value, flag});  // the last word first
    return "";
  } catch (const CLI::ParseError& error) {
    return error.what();
  }
}

TEST(FlagValues, ATimeComesInWholeMilliseconds) {
  CLI::App app;
  milliseconds with_default = seconds(10);
  std::optional<milliseconds> without;
  AddTime(&app, "--timeout", &with_default, kRange, "");
  AddTime(&app, "--lease", &without, kRange, "");
  EXPECT_EQ(ErrorOf(app, "--lease", "1.5"), "");
  EXPECT_EQ(with_default, seconds(10));
  EXPECT_EQ(without, milliseconds(1'500));
  EXPECT_EQ(ErrorOf(app, "--timeout", "999.6 ms"), "");
  EXPECT_EQ(with_default, seconds(1));
}

TEST(FlagValues, ATimeThatIsNoneOrOutOfItsRangeIsNamedWithWhatIsAllowed) {
  CLI::App app;
  std::optional<milliseconds> lease;
  AddTime(&app, "--lease", &lease, kRange, "");
  for (const char* wrong :
       {"1e30", "1e300h", "99999999999h", "61s", "499ms", "0", "nan", "soon", ""}) {
    EXPECT_EQ(
        ErrorOf(app, "--lease", wrong),
        fmt::format("--lease: '{}' is not allowed: a time from 500 ms to 60 s, in ms, s, m or h",
                    wrong));
  }
  EXPECT_EQ(lease, std::nullopt);
}

TEST(FlagValues, AWholeNumberIsReadInTensWhateverItBeginsWith) {
  CLI::App app;
  uint64_t id = 0;
  app.add_option("--id", id)->transform(WholeNumberIn(1, INT64_MAX));
  EXPECT_EQ(ErrorOf(app, "--id", "010"), "");
  EXPECT_EQ(id, 10u);
  for (const char* wrong : {"0", "-1", "0x10", "1.0", "9223372036854775808", ""}) {
    EXPECT_EQ(ErrorOf(app, "--id", wrong),
              fmt::format("--id: '{}' is not allowed: a whole number above 0", wrong));
  }
  uint64_t seed = 0;
  app.add_option("--seed", seed)->transform(WholeNumberIn(0, UINT64_MAX));
  EXPECT_EQ(ErrorOf(app, "--seed", "18446744073709551615"), "");
  EXPECT_EQ(seed, UINT64_MAX);
  EXPECT_EQ(ErrorOf(app, "--seed", "18446744073709551616"),
            "--seed: '18446744073709551616' is not allowed: a whole number from 0 to "
            "18446744073709551615");
}

TEST(FlagValues, ATextThatIsEmptyIsNotTheDefault) {
  CLI::App app;
  std::string name;
  app.add_option("--name", name)->check(NotEmpty());
  EXPECT_EQ(ErrorOf(app, "--name", ""), "--name: must not be empty");
  EXPECT_EQ(ErrorOf(app, "--name", "x"), "");
}

TEST(FlagValues, ANumberIsFiniteAndInItsRange) {
  CLI::App app;
  double rate = 0;
  app.add_option("--rate", rate)->transform(NumberIn(0.001, 50));
  EXPECT_EQ(ErrorOf(app, "--rate", "2.5"), "");
  EXPECT_EQ(rate, 2.5);
  for (const char* wrong : {"nan", "inf", "0", "50.1", "1e999", "5ms", ""}) {
    EXPECT_EQ(ErrorOf(app, "--rate", wrong),
              fmt::format("--rate: '{}' is not allowed: a number from 0.001 to 50", wrong));
  }
}

}  // namespace
}  // namespace faultline::cli
