#include "cli/kind_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "faults/registry.h"

namespace faultline::cli {
namespace {

using testing::ElementsAre;
using testing::Pair;

chaos::v1::FaultKindInfo Kind(const std::string& name) {
  return faults::Describe(*faults::FindKind(name));
}

chaos::v1::ParameterInfo Parameter(const std::string& kind, const std::string& name) {
  const auto described = Kind(kind);
  for (const auto& parameter : described.parameters()) {
    if (parameter.name() == name) return parameter;
  }
  ADD_FAILURE() << name;
  return {};
}

std::map<std::string, std::string> Parse(const std::string& line) {
  CLI::App app;
  auto values = std::make_shared<std::map<std::string, std::string>>();
  AddKindFlags(&app, Kind("NETWORK_LATENCY"), values);
  app.parse(line);
  return *values;
}

TEST(KindFlags, AreTheKindsParameters) {
  EXPECT_THAT(
      Parse("--delay-ms 100 --jitter-ms=2us --direction both"),
      ElementsAre(Pair("delay_ms", "100"), Pair("direction", "both"), Pair("jitter_ms", "2us")));
}

TEST(KindFlags, ListsMayBeRepeatedOrJoined) {
  EXPECT_THAT(Parse("--local-port 80 --local-port 81"), ElementsAre(Pair("local_port", "80,81")));
  EXPECT_THAT(Parse("--local-port 80,81"), ElementsAre(Pair("local_port", "80,81")));
}

TEST(KindFlags, ANegativeValueReachesTheServerAsItIs) {
  EXPECT_THAT(Parse("--delay-ms -5"), ElementsAre(Pair("delay_ms", "-5")));
}

TEST(KindFlags, HelpTellsRangeUnitDefaultAndWhetherItMustBeGiven) {
  EXPECT_EQ(FlagHelp(Parameter("NETWORK_LATENCY", "delay_ms")),
            "Time to hold each packet. [0 to 60000 ms; required]");
  EXPECT_THAT(FlagHelp(Parameter("NETWORK_LATENCY", "jitter_ms")),
              testing::EndsWith("[0 to 60000 ms; default 0 ms]"));
  EXPECT_EQ(FlagType(Parameter("NETWORK_LATENCY", "distribution")), "uniform|normal|pareto|table");
  EXPECT_EQ(FlagType(Parameter("NETWORK_LATENCY", "local_port")), "TEXT,...");
}

TEST(KindFlags, TheKindIsFoundInAnySpelling) {
  const auto kinds = faults::DescribeAll();
  for (const char* word : {"NETWORK_LATENCY", "network_latency", "network-latency"}) {
    const auto kind = KindOnLine(kinds, {"start", "--target", "a:b", word});
    ASSERT_TRUE(kind.has_value()) << word;
    EXPECT_EQ(kind->name(), "NETWORK_LATENCY");
  }
  EXPECT_FALSE(KindOnLine(kinds, {"start", "NO_SUCH"}).has_value());
  EXPECT_FALSE(KindOnLine(kinds, {"list", "NETWORK_LATENCY"}).has_value());
}

TEST(KindFlags, NoParameterIsCalledLikeAFlagOfStart) {
  const std::set<std::string> own = {
      "--target",  "--duration", "--seed",      "--request-id", "--wait",    "--param", "--help",
      "--address", "--ca-file",  "--cert-file", "--key-file",   "--timeout", "--json"};
  for (const auto& kind : faults::DescribeAll()) {
    for (const auto& parameter : kind.parameters()) {
      EXPECT_FALSE(own.contains(FlagName(parameter.name()))) << kind.name();
    }
  }
}

TEST(KindFlags, EveryKindsExampleIsAllowed) {
  for (const auto& kind : faults::DescribeAll()) {
    CLI::App app;
    auto values = std::make_shared<std::map<std::string, std::string>>();
    AddKindFlags(&app, kind, values);
    app.parse(ExampleFlags(kind));
    EXPECT_TRUE(faults::ParseParameters(kind.name(), *values).ok()) << ExampleFlags(kind);
  }
}

TEST(Pairs, ArePutBesideTheFlagsAndNeverOverThem) {
  std::map<std::string, std::string> values = {{"a", "1"}};
  EXPECT_TRUE(AddPairs({"b=2=3", "c="}, &values).ok());
  EXPECT_THAT(values, ElementsAre(Pair("a", "1"), Pair("b", "2=3"), Pair("c", "")));
  EXPECT_FALSE(AddPairs({"a=2"}, &values).ok());
  EXPECT_FALSE(AddPairs({"plain"}, &values).ok());
  EXPECT_FALSE(AddPairs({"=x"}, &values).ok());
}

}  // namespace
}  // namespace faultline::cli
