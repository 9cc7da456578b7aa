#include "tests/history/linearizability.h"

#include <gtest/gtest.h>

#include <random>

namespace faultline::history {
namespace {

// A register that holds 0 at first. Inputs: a value to write, or kRead; output: the value read.
constexpr int kRead = -1;
using RegisterOp = Operation<int, int>;

struct RegisterModel {
  using State = int;
  State Initial() const { return 0; }
  bool Step(const RegisterOp& op, State* state) const {
    if (op.input == kRead) return !op.returned() || op.output == *state;
    *state = op.input;
    return true;
  }
};

Verdict Judge(const std::vector<RegisterOp>& history) {
  return Check(RegisterModel{}, history).verdict;
}
RegisterOp Write(uint64_t from, uint64_t to, int value) { return {from, to, value, 0}; }
RegisterOp Read(uint64_t from, uint64_t to, int value) { return {from, to, kRead, value}; }

TEST(LinearizabilityTest, AnEmptyHistoryIsLinearizable) {
  EXPECT_EQ(Judge({}), Verdict::kLinearizable);
}

TEST(LinearizabilityTest, AReadReturnsTheLastWriteThatWasOverBeforeIt) {
  EXPECT_EQ(Judge({Write(1, 2, 7), Read(3, 4, 7)}), Verdict::kLinearizable);
  EXPECT_EQ(Judge({Write(1, 2, 7), Read(3, 4, 0)}), Verdict::kNotLinearizable) << "a stale read";
  EXPECT_EQ(Judge({Read(1, 2, 7), Write(3, 4, 7)}), Verdict::kNotLinearizable) << "foresight";
}

TEST(LinearizabilityTest, AReadDuringAWriteReturnsTheOldOrTheNewValue) {
  EXPECT_EQ(Judge({Write(1, 9, 7), Read(2, 3, 0)}), Verdict::kLinearizable);
  EXPECT_EQ(Judge({Write(1, 9, 7), Read(2, 3, 7)}), Verdict::kLinearizable);
  EXPECT_EQ(Judge({Write(1, 9, 7), Read(2, 3, 8)}), Verdict::kNotLinearizable);
}

TEST(LinearizabilityTest, WhatWasReadOnceIsNotUnreadByALaterReader) {
  // Both reads lie within the write; the second sees the state before the first.
  EXPECT_EQ(Judge({Write(1, 9, 7), Read(2, 3, 7), Read(4, 5, 0)}), Verdict::kNotLinearizable);
  EXPECT_EQ(Judge({Write(1, 9, 7), Read(2, 4, 7), Read(3, 5, 0)}), Verdict::kLinearizable)
      << "these reads overlap";
}

TEST(LinearizabilityTest, ReadersThatSeeTwoWritesInDifferentOrdersContradictEachOther) {
  EXPECT_EQ(Judge({Write(1, 3, 1), Write(2, 4, 2), Read(5, 6, 1), Read(7, 8, 2)}),
            Verdict::kNotLinearizable);
  EXPECT_EQ(Judge({Write(1, 3, 1), Write(2, 4, 2), Read(5, 6, 1), Read(7, 8, 1)}),
            Verdict::kLinearizable);
}

TEST(LinearizabilityTest, AnOperationOfUnknownOutcomeMayTakeEffectLateOrNever) {
  const RegisterOp lost = {1, kNever, 7, 0};
  EXPECT_EQ(Judge({lost, Read(2, 3, 0)}), Verdict::kLinearizable);
  EXPECT_EQ(Judge({lost, Read(2, 3, 7)}), Verdict::kLinearizable);
  EXPECT_EQ(Judge({lost, Read(2, 3, 0), Read(4, 5, 7)}), Verdict::kLinearizable);
  EXPECT_EQ(Judge({lost, Read(2, 3, 7), Read(4, 5, 0)}), Verdict::kNotLinearizable);
  EXPECT_EQ(Judge({Read(1, 2, 7), {3, kNever, 7, 0}}), Verdict::kNotLinearizable)
      << "not before it was called";
  EXPECT_EQ(Judge({{1, kNever, kRead, 0}}), Verdict::kLinearizable);
}

TEST(LinearizabilityTest, TwoAcknowledgedIncrementsThatReturnTheSameCountAreOneTooFew) {
  struct Counter {
    using State = int;
    State Initial() const { return 0; }
    bool Step(const RegisterOp& op, State* state) const { return ++*state == op.output; }
  };
  const std::vector<RegisterOp> good = {{1, 5, 0, 2}, {2, 4, 0, 1}, {6, 7, 0, 3}};
  const std::vector<RegisterOp> bad = {{1, 5, 0, 2}, {2, 4, 0, 2}};
  EXPECT_EQ(Check(Counter{}, good).verdict, Verdict::kLinearizable);
  EXPECT_EQ(Check(Counter{}, bad).verdict, Verdict::kNotLinearizable);
}

TEST(LinearizabilityTest, SaysWhichOperationFindsNoPlace) {
  const std::vector<RegisterOp> history = {Write(1, 2, 7), Read(3, 4, 7), Read(5, 6, 0),
                                           Write(7, 8, 0)};
  const Result result = Check(RegisterModel{}, history);
  EXPECT_EQ(result.verdict, Verdict::kNotLinearizable);
  EXPECT_EQ(result.order, (std::vector<size_t>{0, 1}));
  EXPECT_EQ(result.misfit, 2u);
}

TEST(LinearizabilityTest, GivesUpWhereItSaidItWould) {
  std::vector<RegisterOp> history;
  for (int i = 1; i <= 20; ++i) history.push_back(Write(1, 100, i));
  history.push_back(Read(101, 102, 21));
  EXPECT_EQ((Checker<RegisterModel, RegisterOp>(RegisterModel{}, history, 1'000).Check().verdict),
            Verdict::kUndecided);
}

// Histories made from a sequential run are linearizable whatever times surround its points;
// changing what one read returned to a value never written makes them not so.
TEST(LinearizabilityTest, JudgesRandomHistoriesAsTheyWereMade) {
  std::mt19937_64 random(7);
  for (int run = 0; run < 500; ++run) {
    std::vector<RegisterOp> history;
    int value = 0;
    for (uint64_t i = 1; i <= 14; ++i) {
      const uint64_t point = i * 10;
      const uint64_t from = point - std::min<uint64_t>(point, random() % 35);
      uint64_t to = point + random() % 35;
      const bool reads = random() % 2 == 0;
      if (!reads) value = static_cast<int>(i);
      if (random() % 6 == 0) to = kNever;
      history.push_back({from, to, reads ? kRead : value, value});
    }
    ASSERT_EQ(Judge(history), Verdict::kLinearizable) << run;
    const auto read = std::find_if(history.begin(), history.end(), [](const RegisterOp& op) {
      return op.input == kRead && op.returned();
    });
    if (read == history.end()) continue;
    read->output = 99;
    ASSERT_EQ(Judge(history), Verdict::kNotLinearizable) << run;
  }
}

}  // namespace
}  // namespace faultline::history
