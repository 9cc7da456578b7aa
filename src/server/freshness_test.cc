#include "server/freshness.h"

#include <gtest/gtest.h>

namespace faultline::server {
namespace {

TEST(Freshness, OfAStateThatWasNeverComparedIsUnknown) {
  Freshness freshness;
  EXPECT_EQ(freshness.CurrentAsOfNs(7), 0u);
  freshness.Learn(100, 8);
  EXPECT_EQ(freshness.CurrentAsOfNs(7), 0u) << "what was committed is not applied yet";
  EXPECT_EQ(freshness.CurrentAsOfNs(8), 100u);
}

TEST(Freshness, IsTheNewestQuestionWhoseAnswerIsApplied) {
  Freshness freshness;
  freshness.Learn(100, 8);
  freshness.Learn(300, 9);
  freshness.Learn(200, 8);
  freshness.Learn(400, 20);
  EXPECT_EQ(freshness.CurrentAsOfNs(8), 200u);
  EXPECT_EQ(freshness.CurrentAsOfNs(12), 300u);
  EXPECT_EQ(freshness.CurrentAsOfNs(12), 300u);
  EXPECT_EQ(freshness.CurrentAsOfNs(20), 400u);
}

TEST(Freshness, OfANodeThatLagsForLongIsNeverTooNew) {
  Freshness freshness;
  for (uint64_t i = 1; i <= 1'000; ++i) freshness.Learn(i * 10, i);
  EXPECT_EQ(freshness.CurrentAsOfNs(5), 50u);
  EXPECT_LE(freshness.CurrentAsOfNs(900), 9'000u);
}

}  // namespace
}  // namespace faultline::server
