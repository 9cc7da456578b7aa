#include "base/status.h"

#include <gtest/gtest.h>

namespace faultline {
namespace {

TEST(FieldError, NamesFieldValueAndWhatIsAllowed) {
  const Status status = FieldError("parameters.delay_ms", "-1", "0 to 60000 ms");
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(ToString(status.message()), "parameters.delay_ms: '-1' is not allowed: 0 to 60000 ms");
  const auto detail = DetailOf(status);
  ASSERT_TRUE(detail.has_value());
  EXPECT_EQ(detail->reason(), "INVALID_PARAMETER");
  ASSERT_EQ(detail->violations_size(), 1);
  EXPECT_EQ(detail->violations(0).field(), "parameters.delay_ms");
  EXPECT_EQ(detail->violations(0).value(), "-1");
  EXPECT_EQ(detail->violations(0).allowed(), "0 to 60000 ms");
}

TEST(FieldError, IsShortAndShowsNothingThatATerminalWouldObey) {
  const Status status = FieldError("target", "\x1b[31m" + std::string(1'000'000, 'x'), "less");
  EXPECT_LT(status.message().size(), 400u);
  EXPECT_LT(DetailOf(status)->ByteSizeLong(), 400u);
  EXPECT_EQ(ToString(status.message()).substr(0, 20), "target: '\\x1b[31mxxx");
}

TEST(FieldError, SaysThatSomethingWasNotFound) {
  EXPECT_EQ(ToString(FieldError("id", "x", "an id", "R", StatusCode::kNotFound).message()),
            "id: 'x' was not found: an id");
}

TEST(DetailedError, CarriesReasonAndMetadata) {
  const auto detail = DetailOf(MakeDetailedError(StatusCode::kFailedPrecondition, "TARGET_BUSY",
                                                 "busy", {{"experiment_id", "e1"}}));
  ASSERT_TRUE(detail.has_value());
  EXPECT_EQ(detail->reason(), "TARGET_BUSY");
  EXPECT_EQ(detail->metadata().at("experiment_id"), "e1");
}

TEST(PlainError, HasNoDetail) {
  EXPECT_FALSE(DetailOf(MakeError(StatusCode::kInternal, "x {}", 1)).has_value());
}

}  // namespace
}  // namespace faultline
