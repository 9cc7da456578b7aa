#include "base/units.h"

#include <gtest/gtest.h>

namespace faultline {
namespace {

TEST(ParseQuantity, TakesPlainNumbersInTheGivenUnit) {
  EXPECT_EQ(*ParseQuantity("100", "ms"), 100);
}

TEST(ParseQuantity, ConvertsWithinTheDimension) {
  EXPECT_DOUBLE_EQ(*ParseQuantity("0.1s", "ms"), 100);
  EXPECT_DOUBLE_EQ(*ParseQuantity("250 us", "ms"), 0.25);
  EXPECT_DOUBLE_EQ(*ParseQuantity("5%", "%"), 5);
  EXPECT_DOUBLE_EQ(*ParseQuantity("2KiB", "bytes"), 2048);
  EXPECT_DOUBLE_EQ(*ParseQuantity("200kB", "bytes"), 200'000);
  EXPECT_DOUBLE_EQ(*ParseQuantity("20 Mbps", "bps"), 20e6);
}

TEST(ParseQuantity, RefusesWhatIsNoNumberOrHasAForeignUnit) {
  for (const char* text :
       {"", "ms", "12 lightyears", "5%", "1e999", "nan", "inf", "0x10", "1,5", "--1"}) {
    const auto value = ParseQuantity(text, "ms");
    EXPECT_FALSE(value.ok()) << text;
    EXPECT_NE(ToString(value.status().message()).find("ns, us, ms, s"), std::string::npos);
  }
}

TEST(ParseQuantity, PlainNumbersTakeNoUnit) { EXPECT_FALSE(ParseQuantity("5ms", "").ok()); }

}  // namespace
}  // namespace faultline
