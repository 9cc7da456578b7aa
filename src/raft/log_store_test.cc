#include "raft/log_store.h"

#include <gtest/gtest.h>
#include <rocksdb/db.h>

#include <filesystem>

#include "raft/log_store_testing.h"
#include "raft/test_dir.h"

namespace faultline::raft {
namespace {

namespace fs = std::filesystem;

class LogStoreTest : public testing::Test {
 protected:
  LoadedLog Reopen() {
    auto store = LogStore::Open(dir_.path());
    EXPECT_TRUE(store.ok()) << store.status();
    return store.ok() ? (*store)->TakeLoaded() : LoadedLog{};
  }
  Status OpenStatus() { return LogStore::Open(dir_.path()).status(); }

  TestDir dir_;
};

TEST_F(LogStoreTest, ANewDirectoryIsAnEmptyLog) {
  const LoadedLog log = Reopen();
  EXPECT_TRUE(log.empty());
  EXPECT_EQ(log.first_index, 1u);
  EXPECT_TRUE(Reopen().empty()) << "also when it is opened again";
}

TEST_F(LogStoreTest, WhatWasWrittenIsThereAfterReopening) {
  {
    auto store = LogStore::Open(dir_.path());
    LogWrite write = WriteOf(1, {EntryOf(1, "a"), EntryOf(2, "b")});
    write.hard_state = HardState{2, 1};
    ASSERT_TRUE((*store)->Write(write).ok());
    ASSERT_TRUE((*store)->Write(WriteOf(3, {EntryOf(2, "c")})).ok());
  }
  const LoadedLog log = Reopen();
  EXPECT_EQ(log.hard_state.term, 2u);
  EXPECT_EQ(log.hard_state.voted_for, 1u);
  EXPECT_EQ(log.first_index, 1u);
  ASSERT_EQ(log.entries.size(), 3u);
  EXPECT_EQ(log.entries[2]->data(), "c");
}

TEST_F(LogStoreTest, ReplacedEntriesAreGoneWithAllThatFollowedThem) {
  {
    auto store = LogStore::Open(dir_.path());
    LogWrite write = WriteOf(1, {EntryOf(1, "a"), EntryOf(1, "b"), EntryOf(1, "c")});
    write.hard_state = HardState{2, 0};
    ASSERT_TRUE((*store)->Write(write).ok());
    LogWrite replace = WriteOf(2, {EntryOf(2, "B")});
    replace.remove_from = 2;
    ASSERT_TRUE((*store)->Write(replace).ok());
  }
  const LoadedLog log = Reopen();
  ASSERT_EQ(log.entries.size(), 2u);
  EXPECT_EQ(log.entries[1]->data(), "B");
}

TEST_F(LogStoreTest, ASnapshotOfOurOwnTrimsTheLogBehindIt) {
  {
    MakeLog(dir_.path(), 10);
    auto store = LogStore::Open(dir_.path());
    LogWrite write;
    write.snapshot = SnapshotOf(**store, 8, 3, "state");
    write.trim_to = 5;
    ASSERT_TRUE((*store)->Write(write).ok());
  }
  const LoadedLog log = Reopen();
  ASSERT_NE(log.snapshot, nullptr);
  EXPECT_EQ(DataOf(*log.snapshot), "state");
  EXPECT_EQ(log.first_index, 6u);
  EXPECT_EQ(log.entries.size(), 5u);
}

TEST_F(LogStoreTest, AReceivedSnapshotReplacesTheWholeLog) {
  {
    MakeLog(dir_.path(), 10);
    auto store = LogStore::Open(dir_.path());
    LogWrite write;
    write.snapshot = SnapshotOf(**store, 50, 3, std::string(3 << 20, 's'));
    write.clear_log = true;
    ASSERT_TRUE((*store)->Write(write).ok());
  }
  const LoadedLog log = Reopen();
  EXPECT_EQ(log.first_index, 51u);
  EXPECT_TRUE(log.entries.empty());
  EXPECT_EQ(DataOf(*log.snapshot).size(), 3u << 20);
}

TEST_F(LogStoreTest, ADirectoryInUseIsRefusedWithASentence) {
  auto store = LogStore::Open(dir_.path());
  ASSERT_TRUE(store.ok());
  const Status second = OpenStatus();
  EXPECT_EQ(second.code(), StatusCode::kFailedPrecondition) << second;
  EXPECT_NE(second.ToString().find("another process is using"), std::string::npos) << second;
}

TEST_F(LogStoreTest, ALockHeldThroughRocksDbAloneIsRefusedToo) {
  MakeLog(dir_.path(), 1);
  rocksdb::DB* db = nullptr;
  ASSERT_TRUE(rocksdb::DB::Open({}, dir_.path(), &db).ok());
  const std::unique_ptr<rocksdb::DB> holder(db);
  const Status second = OpenStatus();
  EXPECT_EQ(second.code(), StatusCode::kFailedPrecondition) << second;
}

TEST_F(LogStoreTest, ManyWritesAndSnapshotsLeaveASmallDirectory) {
  {
    auto store = LogStore::Open(dir_.path());
    LogWrite begin;
    begin.hard_state = HardState{1, 0};
    ASSERT_TRUE((*store)->Write(begin).ok());
    uint64_t index = 1;
    for (int round = 0; round < 40; ++round) {
      std::vector<EntryPtr> entries(500, EntryOf(1, std::string(1'000, 'd')));
      ASSERT_TRUE((*store)->Write(WriteOf(index, entries)).ok());
      index += entries.size();
      LogWrite snapshot;
      snapshot.snapshot = SnapshotOf(**store, index - 1, 1, std::string(100'000, 's'));
      snapshot.trim_to = index - 100;
      ASSERT_TRUE((*store)->Write(snapshot).ok());
    }
  }
  const LoadedLog log = Reopen();
  EXPECT_EQ(log.snapshot->metadata.last_index(), 20'000u);
  EXPECT_EQ(log.entries.size(), 99u);
  uintmax_t size = 0;
  for (const auto& file : fs::recursive_directory_iterator(dir_.path())) {
    if (file.is_regular_file()) size += file.file_size();
  }
  EXPECT_LT(size, 40u << 20);
}

}  // namespace
}  // namespace faultline::raft
