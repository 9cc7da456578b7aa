#include "base/text.h"

#include <gtest/gtest.h>

namespace faultline {
namespace {

TEST(Text, TrimsOnlyTheEnds) {
  EXPECT_EQ(Trimmed("  a b "), "a b");
  EXPECT_EQ(Trimmed("   "), "");
}

TEST(Text, TellsUtf8FromOtherBytes) {
  EXPECT_TRUE(IsUtf8("plain, ä, 中, \xF0\x9F\x94\xA5"));
  for (const char* wrong : {"\xFF", "\xC3", "\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80",
                            "\xF0\x80\x80\x80", "\xF4\x90\x80\x80", "a\x80"}) {
    EXPECT_FALSE(IsUtf8(wrong)) << Shown(wrong);
  }
}

TEST(Text, IsShownWithoutWhatATerminalWouldObey) {
  EXPECT_EQ(Shown("ä\x1b[31m\n\xFF"), "ä\\x1b[31m\\x0a\\xff");
  EXPECT_TRUE(HasControlCharacters("a\tb"));
  EXPECT_FALSE(HasControlCharacters("a b ä"));
}

TEST(Text, LongOnesAreCutBetweenCharacters) {
  EXPECT_EQ(Shown("abcdef", 6), "abcdef");
  EXPECT_EQ(Shown("abcdef", 3), "abc...");
  EXPECT_EQ(Shown("aä", 2), "a...");
}

TEST(Text, WholeNumbersAreReadToTheirLastDigit) {
  EXPECT_EQ(*ParseWholeNumber("--seed", "18446744073709551615", 0, UINT64_MAX), UINT64_MAX);
  for (const char* wrong : {"", "-1", "1.5", "7x", " 7", "18446744073709551616", "0x10"}) {
    EXPECT_FALSE(ParseWholeNumber("--seed", wrong, 0, UINT64_MAX).ok()) << wrong;
  }
  EXPECT_EQ(ToString(ParseWholeNumber("--limit", "0", 1, 9).status().message()),
            "--limit: '0' is not allowed: a whole number from 1 to 9");
}

}  // namespace
}  // namespace faultline
