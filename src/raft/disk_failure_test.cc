// A log whose disk is full or fails: nothing that failed counts, nothing acknowledged is lost, and
// it goes on once the disk does.
#include <gtest/gtest.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <atomic>

#include "raft/log_store_testing.h"
#include "raft/test_dir.h"

namespace faultline::raft {
namespace {

enum class Failure { kNone, kFull, kAppend, kSync };

// Write-ahead logs (or everything) fail as told.
class FailingFiles final : public rocksdb::FileSystemWrapper {
 public:
  FailingFiles() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "FailingFiles"; }

  std::atomic<Failure> failure = Failure::kNone;

  rocksdb::IOStatus Check(Failure operation) const {
    const Failure now = failure;
    if (now == Failure::kFull && operation == Failure::kAppend) {
      return rocksdb::IOStatus::NoSpace("no space left on device");
    }
    if (now == operation) return rocksdb::IOStatus::IOError("input/output error");
    return rocksdb::IOStatus::OK();
  }

  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override {
    const rocksdb::IOStatus status = FileSystemWrapper::NewWritableFile(name, options, file, debug);
    if (status.ok()) *file = std::make_unique<File>(this, std::move(*file));
    return status;
  }

 private:
  class File final : public rocksdb::FSWritableFileOwnerWrapper {
   public:
    File(const FailingFiles* files, std::unique_ptr<rocksdb::FSWritableFile> file)
        : FSWritableFileOwnerWrapper(std::move(file)), files_(files) {}
    rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* debug) override {
      const rocksdb::IOStatus status = files_->Check(Failure::kAppend);
      if (status.ok()) return FSWritableFileOwnerWrapper::Append(data, options, debug);
      // A full disk takes a part.
      (void)FSWritableFileOwnerWrapper::Append({data.data(), data.size() / 2}, options, debug);
      return status;
    }
    rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                             const rocksdb::DataVerificationInfo&,
                             rocksdb::IODebugContext* debug) override {
      return Append(data, options, debug);
    }
    rocksdb::IOStatus Sync(const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* debug) override {
      const rocksdb::IOStatus status = files_->Check(Failure::kSync);
      return status.ok() ? FSWritableFileOwnerWrapper::Sync(options, debug) : status;
    }
    rocksdb::IOStatus Fsync(const rocksdb::IOOptions& options,
                            rocksdb::IODebugContext* debug) override {
      return Sync(options, debug);
    }

   private:
    const FailingFiles* const files_;
  };
};

class DiskFailureTest : public testing::TestWithParam<Failure> {
 protected:
  DiskFailureTest()
      : files_(std::make_shared<FailingFiles>()), env_(rocksdb::NewCompositeEnv(files_)) {}

  TestDir dir_;
  std::shared_ptr<FailingFiles> files_;
  std::unique_ptr<rocksdb::Env> env_;
};

TEST_P(DiskFailureTest, AFailedWriteDoesNotCountAndGetsThroughOnceTheDiskWorks) {
  {
    auto store = LogStore::Open(dir_.path(), env_.get());
    ASSERT_TRUE(store.ok()) << store.status();
    LogWrite write = WriteOf(1, {EntryOf(3, "a")});
    write.hard_state = HardState{3, 2};
    ASSERT_TRUE((*store)->Write(write).ok());
    LogWrite vote = WriteOf(2, {EntryOf(4, std::string(100'000, 'b'))});
    vote.hard_state = HardState{4, 1};

    files_->failure = GetParam();
    const Status failed = (*store)->Write(vote);
    EXPECT_EQ(failed.code(), GetParam() == Failure::kFull ? StatusCode::kResourceExhausted
                                                          : StatusCode::kUnavailable)
        << failed;
    EXPECT_NE(failed.ToString().find(dir_.path()), std::string::npos) << failed;
    EXPECT_FALSE((*store)->Write(vote).ok()) << "not before it was opened again";
    for (int i = 0; i < 3; ++i) {
      const Status again = (*store)->Recover();
      EXPECT_FALSE(again.ok());
      EXPECT_NE(again.code(), StatusCode::kDataLoss) << again;
      EXPECT_FALSE((*store)->Write(vote).ok());
    }

    files_->failure = Failure::kNone;
    const Status recovered = (*store)->Recover();
    ASSERT_TRUE(recovered.ok()) << recovered;
    ASSERT_TRUE((*store)->Write(vote).ok());
    ASSERT_TRUE((*store)->Write(WriteOf(3, {EntryOf(4, "c")})).ok());
  }
  auto store = LogStore::Open(dir_.path());
  ASSERT_TRUE(store.ok()) << store.status();
  const LoadedLog log = (*store)->TakeLoaded();
  EXPECT_EQ(log.hard_state.term, 4u);
  EXPECT_EQ(log.hard_state.voted_for, 1u);
  ASSERT_EQ(log.entries.size(), 3u);
  EXPECT_EQ(log.entries[0]->data(), "a");
  EXPECT_EQ(log.entries[2]->data(), "c");
}

TEST_P(DiskFailureTest, AProcessThatEndsWhileTheDiskFailsLosesNothingAcknowledged) {
  {
    auto store = LogStore::Open(dir_.path(), env_.get());
    ASSERT_TRUE(store.ok()) << store.status();
    LogWrite write = WriteOf(1, {EntryOf(3, "a"), EntryOf(3, "b")});
    write.hard_state = HardState{3, 2};
    ASSERT_TRUE((*store)->Write(write).ok());
    files_->failure = GetParam();
    EXPECT_FALSE((*store)->Write(WriteOf(3, {EntryOf(3, std::string(50'000, 'x'))})).ok());
    EXPECT_FALSE((*store)->Recover().ok());
  }
  files_->failure = Failure::kNone;
  auto store = LogStore::Open(dir_.path());
  ASSERT_TRUE(store.ok()) << store.status();
  const LoadedLog log = (*store)->TakeLoaded();
  EXPECT_EQ(log.hard_state.term, 3u);
  EXPECT_GE(log.entries.size(), 2u);
  EXPECT_EQ(log.entries[1]->data(), "b");
}

INSTANTIATE_TEST_SUITE_P(Kinds, DiskFailureTest,
                         testing::Values(Failure::kFull, Failure::kAppend, Failure::kSync),
                         [](const auto& kind) {
                           return kind.param == Failure::kFull     ? "Full"
                                  : kind.param == Failure::kAppend ? "Write"
                                                                   : "Sync";
                         });

}  // namespace
}  // namespace faultline::raft
