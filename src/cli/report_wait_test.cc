#include "cli/report_wait.h"

#include <gtest/gtest.h>

namespace faultline::cli {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;
constexpr int64_t kEndedS = 1'700'000'000;

bool IsLongAgo(std::optional<int64_t> told_s, int64_t own_s) {
  chaos::v1::GetExperimentResponse response;
  response.mutable_experiment()->mutable_ended_at()->set_seconds(kEndedS);
  if (told_s) response.mutable_now()->set_seconds(*told_s);
  return EndedLongAgo(response, own_s * kSecondNs);
}

TEST(ReportWait, LastsByTheControllersClockWhateverTheCallersShows) {
  for (const int64_t own_s : {kEndedS - 3'600, kEndedS, kEndedS + 3'600}) {
    EXPECT_FALSE(IsLongAgo(kEndedS + 2, own_s));
    EXPECT_TRUE(IsLongAgo(kEndedS + 31, own_s));
  }
}

TEST(ReportWait, LastsByTheCallersClockWhereTheControllerDoesNotTellItsOwn) {
  EXPECT_FALSE(IsLongAgo(std::nullopt, kEndedS + 2));
  EXPECT_TRUE(IsLongAgo(std::nullopt, kEndedS + 31));
}

TEST(ReportWait, OfAnExperimentThatGoesOnIsNotOver) {
  EXPECT_FALSE(EndedLongAgo({}, kEndedS * kSecondNs));
}

TEST(ReportWait, IsForAReportThatIsNotThereOrNotWhole) {
  EXPECT_TRUE(IsOnItsWay(MakeDetailedError(StatusCode::kFailedPrecondition, "NO_REPORT", "none")));
  EXPECT_FALSE(IsOnItsWay(MakeDetailedError(StatusCode::kFailedPrecondition, "NOT_ENDED", "yet")));
  chaos::v1::GetReportResponse response;
  EXPECT_TRUE(IsOnItsWay(response));
  response.mutable_report()->add_events();
  EXPECT_FALSE(IsOnItsWay(response));
  response.mutable_report()->add_unmeasured_targets("a/x");
  EXPECT_TRUE(IsOnItsWay(response));
}

}  // namespace
}  // namespace faultline::cli
