#include "faults/network/rule_numbers.h"

#include <gtest/gtest.h>

#include <set>

namespace faultline::network {
namespace {

TEST(RuleNumbersTest, EachNumberIsGivenOnceAndAllAreGiven) {
  RuleNumbers numbers;
  std::set<unsigned> given;
  for (unsigned i = 0; i < FL_MAX_RULES; ++i) given.insert(numbers.Take(i % 5).value());
  EXPECT_EQ(given.size(), size_t{FL_MAX_RULES});
  EXPECT_EQ(numbers.Take(0).status().code(), StatusCode::kResourceExhausted);
  constexpr unsigned kNear = 9;
  EXPECT_EQ(numbers.Take(0, &kNear).status().code(), StatusCode::kResourceExhausted);
  numbers.GiveBack(4'000);
  EXPECT_EQ(numbers.Take(0, &kNear).value(), 4'000u);
}

TEST(RuleNumbersTest, RulesOfOneShapeShareWords) {
  RuleNumbers numbers;
  std::set<unsigned> words[2];
  for (unsigned i = 0; i < 1'000; ++i) words[i % 2].insert(numbers.Take(i % 2).value() / 64);
  for (const unsigned word : words[0]) EXPECT_FALSE(words[1].contains(word)) << word;
}

TEST(RuleNumbersTest, ThousandRulesFindNeighboursForAllThatTakeTheirPlace) {
  RuleNumbers numbers;
  std::vector<unsigned> old;
  for (unsigned i = 0; i < 1'000; ++i) old.push_back(numbers.Take(1).value());
  std::set<unsigned> all(old.begin(), old.end());
  for (const unsigned number : old) {
    const unsigned fresh = numbers.Take(1, &number).value();
    EXPECT_EQ(fresh / 64, number / 64);
    // Also none that another rule had a moment ago.
    EXPECT_TRUE(all.insert(fresh).second);
    numbers.GiveBack(number);
  }
}

}  // namespace
}  // namespace faultline::network
