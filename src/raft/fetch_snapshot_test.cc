// Fetches that end otherwise than with the snapshot: only what came of it tells what it is.
#include "raft/fetch_snapshot.h"

#include <gtest/gtest.h>

#include "raft/test_dir.h"
#include "raft/test_machine.h"

namespace faultline::raft {
namespace {

// Gives some bytes and ends with an error, unless the sink has one.
class EndingTransport final : public Transport {
 public:
  EndingTransport(std::string bytes, Status end) : bytes_(std::move(bytes)), end_(std::move(end)) {}
  void Send(const Member&, std::string) override {}
  Status FetchSnapshot(const Member&, const Snapshot&, uint64_t, const ByteSink& sink) override {
    FL_RETURN_IF_ERROR(sink(bytes_));
    return end_;
  }
  void StopFetching() override {}

 private:
  const std::string bytes_;
  const Status end_;
};

// Of a snapshot of 100 bytes.
Status Fetched(const std::string& bytes, const Status& end) {
  const TestDir dir;
  SnapshotFolder folder(dir.path() + "/snapshots");
  EndingTransport transport(bytes, end);
  const TestMachine machine;
  const std::atomic<bool> stopping = false;
  auto wanted = std::make_shared<Snapshot>();
  wanted->metadata.set_last_index(50);
  wanted->sum.size_bytes = 100;
  return FetchSnapshot({2, "b:1"}, wanted, &transport, &folder, machine, stopping).status();
}

TEST(FetchSnapshotTest, TheOtherEndsErrorSaysNothingOfTheSnapshot) {
  for (const StatusCode code : {StatusCode::kFailedPrecondition, StatusCode::kDataLoss}) {
    const Status status = Fetched("abc", MakeError(code, "said by the other end"));
    EXPECT_EQ(status.code(), StatusCode::kUnavailable) << status;
    EXPECT_EQ(ToString(status.message()), "said by the other end");
  }
  const Status gone =
      Fetched("abc", MakeError(StatusCode::kNotFound, "it is not offered any more"));
  EXPECT_EQ(gone.code(), StatusCode::kNotFound) << gone;
}

TEST(FetchSnapshotTest, MoreThanWasOfferedIsDamage) {
  const Status status = Fetched(std::string(101, 'x'), absl::OkStatus());
  EXPECT_EQ(status.code(), StatusCode::kDataLoss) << status;
}

TEST(FetchSnapshotTest, WhatIsNoSnapshotIsDamage) {
  const Status status = Fetched(std::string(100, 'x'), absl::OkStatus());
  EXPECT_EQ(status.code(), StatusCode::kDataLoss) << status;
}

}  // namespace
}  // namespace faultline::raft
