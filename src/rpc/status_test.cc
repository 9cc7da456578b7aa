#include "rpc/status.h"

#include <gtest/gtest.h>

namespace faultline::rpc {
namespace {

TEST(RpcStatus, DetailsSurviveTheWayOverTheWire) {
  const Status before = FieldError("target", "x", "a selector");
  const grpc::Status wire = ToGrpc(before);
  EXPECT_EQ(wire.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  const Status after = FromGrpc(wire);
  EXPECT_EQ(after.message(), before.message());
  ASSERT_TRUE(DetailOf(after).has_value());
  EXPECT_EQ(DetailOf(after)->violations(0).field(), "target");
}

TEST(RpcStatus, OkStaysOk) {
  EXPECT_TRUE(ToGrpc(absl::OkStatus()).ok());
  EXPECT_TRUE(FromGrpc(grpc::Status::OK).ok());
}

TEST(RpcStatus, GarbageDetailsAreLeftOut) {
  const Status status = FromGrpc(grpc::Status(grpc::StatusCode::INTERNAL, "m", "\xff\xff garbage"));
  EXPECT_EQ(status.code(), StatusCode::kInternal);
  EXPECT_FALSE(DetailOf(status).has_value());
}

}  // namespace
}  // namespace faultline::rpc
