// Real damage to real files: flips, cuts, missing files.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "raft/log_store_testing.h"
#include "raft/test_dir.h"

namespace faultline::raft {
namespace {

namespace fs = std::filesystem;

std::string ReadAll(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void WriteAll(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// The newest write-ahead log that has content.
fs::path Wal(const std::string& dir) {
  fs::path newest;
  for (const auto& file : fs::directory_iterator(dir)) {
    if (file.path().extension() != ".log" || file.file_size() == 0) continue;
    if (newest.empty() || file.path() > newest) newest = file.path();
  }
  return newest;
}

class LogDamageTest : public testing::Test {
 protected:
  LoadedLog Reopen() {
    auto store = LogStore::Open(dir_.path());
    EXPECT_TRUE(store.ok()) << store.status();
    return store.ok() ? (*store)->TakeLoaded() : LoadedLog{};
  }
  Status OpenStatus() { return LogStore::Open(dir_.path()).status(); }

  // 30 acknowledged writes of one entry each, and a 31st that was not: the power went before its
  // sync had ended. Closed.
  void MakeLogAndOneMore() {
    auto store = LogStore::Open(dir_.path());
    ASSERT_TRUE(store.ok()) << store.status();
    std::string acknowledged;
    for (uint64_t index = 1; index <= 31; ++index) {
      if (index == 31) acknowledged = ReadAll(dir_.path() + "/ACKNOWLEDGED");
      LogWrite write = WriteOf(index, {EntryOf(3, std::string(40, 'a'))});
      write.hard_state = HardState{3, 2};
      ASSERT_TRUE((*store)->Write(write).ok());
    }
    store->reset();
    WriteAll(dir_.path() + "/ACKNOWLEDGED", acknowledged);
  }

  TestDir dir_;
};

TEST_F(LogDamageTest, ATornRecordThatWasNotAcknowledgedIsDiscardedAndAllBeforeItKept) {
  MakeLogAndOneMore();
  const fs::path wal = Wal(dir_.path());
  const std::string bytes = ReadAll(wal);
  for (const size_t cut : {1u, 5u, 20u, 60u}) {
    TestDir copy;
    fs::copy(dir_.path(), copy.path(), fs::copy_options::recursive);
    WriteAll(copy.path() + "/" + wal.filename().string(), bytes.substr(0, bytes.size() - cut));
    auto store = LogStore::Open(copy.path());
    ASSERT_TRUE(store.ok()) << cut << ": " << store.status();
    EXPECT_EQ((*store)->TakeLoaded().entries.size(), 30u) << cut;
    // And it goes on from there.
    ASSERT_TRUE((*store)->Write(WriteOf(31, {EntryOf(3, "again")})).ok());
    store->reset();
    auto again = LogStore::Open(copy.path());
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ((*again)->TakeLoaded().entries.size(), 31u);
  }
}

TEST_F(LogDamageTest, ATornRecordThatWasAcknowledgedIsRefusedWithFileAndOffset) {
  MakeLog(dir_.path(), 30);
  const fs::path wal = Wal(dir_.path());
  const std::string bytes = ReadAll(wal);
  for (const size_t cut : {1u, 5u, 20u, 60u}) {
    TestDir copy;
    fs::copy(dir_.path(), copy.path(), fs::copy_options::recursive);
    WriteAll(copy.path() + "/" + wal.filename().string(), bytes.substr(0, bytes.size() - cut));
    const Status status = LogStore::Open(copy.path()).status();
    EXPECT_EQ(status.code(), StatusCode::kDataLoss) << cut << ": " << status;
    EXPECT_NE(status.ToString().find(wal.filename().string() + " is damaged at offset"),
              std::string::npos)
        << status;
    EXPECT_EQ(LogStore::Open(copy.path()).status(), status) << "it is as it was";
  }
}

TEST_F(LogDamageTest, AWriteThatWasNeverAcknowledgedMayBeTornWithoutTrace) {
  MakeLog(dir_.path(), 30);
  {
    // A crash in the middle of the 31st write: its bytes are there in part, its mark is not.
    auto store = LogStore::Open(dir_.path());
    const std::string before = ReadAll(dir_.path() + "/ACKNOWLEDGED");
    ASSERT_TRUE((*store)->Write(WriteOf(31, {EntryOf(3, std::string(500, 'x'))})).ok());
    WriteAll(dir_.path() + "/ACKNOWLEDGED", before);
  }
  const fs::path wal = Wal(dir_.path());
  WriteAll(wal, ReadAll(wal).substr(0, 100));
  EXPECT_EQ(Reopen().entries.size(), 30u);
}

TEST_F(LogDamageTest, AByteFlippedAnywhereInTheLogIsRefusedWithFileAndOffset) {
  MakeLog(dir_.path(), 40);
  const fs::path wal = Wal(dir_.path());
  const std::string good = ReadAll(wal);
  ASSERT_GT(good.size(), 3'000u);
  for (size_t at = 0; at < good.size(); at += at < 300 || at + 300 > good.size() ? 1 : 37) {
    TestDir copy;
    fs::copy(dir_.path(), copy.path(), fs::copy_options::recursive);
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x41);
    WriteAll(copy.path() + "/" + wal.filename().string(), bad);
    const Status status = LogStore::Open(copy.path()).status();
    ASSERT_EQ(status.code(), StatusCode::kDataLoss) << "flip at " << at << ": " << status;
    EXPECT_NE(status.ToString().find(wal.filename().string() + " is damaged at offset"),
              std::string::npos)
        << status;
  }
}

TEST_F(LogDamageTest, AByteFlippedInALargeLogOfManyBlocksIsRefused) {
  MakeLog(dir_.path(), 60, 5'000);
  const fs::path wal = Wal(dir_.path());
  const std::string good = ReadAll(wal);
  ASSERT_GT(good.size(), 5u * 32'768);
  // Around block borders, where records are split, and at the end.
  std::vector<size_t> places = {good.size() - 1, good.size() - 5'010, good.size() - 5'046};
  for (size_t block = 32'768; block < good.size(); block += 32'768) {
    for (size_t at = block - 8; at < block + 16; ++at) places.push_back(at);
  }
  for (const size_t at : places) {
    TestDir copy;
    fs::copy(dir_.path(), copy.path(), fs::copy_options::recursive);
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    WriteAll(copy.path() + "/" + wal.filename().string(), bad);
    const Status status = LogStore::Open(copy.path()).status();
    ASSERT_EQ(status.code(), StatusCode::kDataLoss) << "flip at " << at << ": " << status;
  }
}

TEST_F(LogDamageTest, ALogCutOffByMoreThanOneAcknowledgedWriteIsRefused) {
  MakeLog(dir_.path(), 30);
  const fs::path wal = Wal(dir_.path());
  const std::string bytes = ReadAll(wal);
  for (const size_t keep : {bytes.size() / 2, bytes.size() - 200, size_t{10}, size_t{0}}) {
    TestDir copy;
    fs::copy(dir_.path(), copy.path(), fs::copy_options::recursive);
    WriteAll(copy.path() + "/" + wal.filename().string(), bytes.substr(0, keep));
    const Status status = LogStore::Open(copy.path()).status();
    EXPECT_EQ(status.code(), StatusCode::kDataLoss) << keep << ": " << status;
  }
}

TEST_F(LogDamageTest, EveryMissingFileIsNoticed) {
  MakeLog(dir_.path(), 30);
  {
    ASSERT_TRUE(LogStore::Open(dir_.path()).ok());
  }  // now there is a table as well
  {
    auto store = LogStore::Open(dir_.path());
    for (uint64_t i = 31; i < 36; ++i) {
      ASSERT_TRUE((*store)->Write(WriteOf(i, {EntryOf(3, "x")})).ok());
    }
  }
  int removed = 0;
  for (const auto& file : fs::directory_iterator(dir_.path())) {
    const std::string name = file.path().filename();
    if (name == "LOCK" || name == "IDENTITY" || name.rfind("OPTIONS", 0) == 0) continue;
    if (file.file_size() == 0) continue;
    TestDir copy;
    fs::copy(dir_.path(), copy.path(), fs::copy_options::recursive);
    fs::remove(copy.path() + "/" + name);
    const Status status = LogStore::Open(copy.path()).status();
    EXPECT_EQ(status.code(), StatusCode::kDataLoss) << "without " << name << ": " << status;
    ++removed;
  }
  EXPECT_GE(removed, 5) << "log, table, manifest, CURRENT, ACKNOWLEDGED";
}

TEST_F(LogDamageTest, WithoutCurrentAndMarkWhatWasWrittenIsRefusedAndStays) {
  MakeLog(dir_.path(), 30);
  {
    auto store = LogStore::Open(dir_.path());  // now there is a table as well
    ASSERT_TRUE(store.ok()) << store.status();
    LogWrite write = WriteOf(31, {EntryOf(3, "x")});
    write.snapshot = SnapshotOf(**store, 8, 3, "state");
    ASSERT_TRUE((*store)->Write(write).ok());
  }
  for (const std::string kept : {".log", ".sst", ".snapshot"}) {
    TestDir copy;
    fs::copy(dir_.path(), copy.path(), fs::copy_options::recursive);
    for (const char* name : {"CURRENT", "ACKNOWLEDGED"}) fs::remove(copy.path() + "/" + name);
    std::vector<fs::path> all;
    for (const auto& file : fs::recursive_directory_iterator(copy.path())) all.push_back(file);
    fs::path there;
    for (const fs::path& path : all) {
      const fs::path kind = path.extension();
      if (kind == kept) there = path;
      if (kind != kept && (kind == ".log" || kind == ".sst" || kind == ".snapshot")) {
        fs::remove(path);
      }
    }
    ASSERT_FALSE(there.empty()) << kept;
    for (int i = 0; i < 2; ++i) {
      const Status status = LogStore::Open(copy.path()).status();
      EXPECT_EQ(status.code(), StatusCode::kDataLoss) << kept << ": " << status;
      EXPECT_NE(status.ToString().find(kept + " is there"), std::string::npos) << status;
      EXPECT_TRUE(fs::exists(there)) << kept;
    }
  }
}

TEST_F(LogDamageTest, AFirstStartThatWasKilledStartsAgain) {
  // Before RocksDB had named its manifest.
  WriteAll(dir_.path() + "/MANIFEST-000001", "");
  WriteAll(dir_.path() + "/ACKNOWLEDGED", "");
  EXPECT_TRUE(Reopen().empty());
  // Before the mark was written.
  WriteAll(dir_.path() + "/ACKNOWLEDGED", "");
  EXPECT_TRUE(Reopen().empty());
}

TEST_F(LogDamageTest, AByteFlippedInAnyOtherFileThatMattersIsRefused) {
  MakeLog(dir_.path(), 60, 500);
  {
    ASSERT_TRUE(LogStore::Open(dir_.path()).ok());
  }
  for (const auto& file : fs::directory_iterator(dir_.path())) {
    const std::string name = file.path().filename();
    if (file.path().extension() != ".sst" && name.rfind("MANIFEST", 0) != 0 &&
        name != "ACKNOWLEDGED" && name != "CURRENT") {
      continue;
    }
    const std::string good = ReadAll(file.path());
    for (const size_t at : {size_t{0}, good.size() / 3, good.size() / 2}) {
      if (name == "ACKNOWLEDGED" && at > 27) continue;
      TestDir copy;
      fs::copy(dir_.path(), copy.path(), fs::copy_options::recursive);
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ 0x41);
      WriteAll(copy.path() + "/" + name, bad);
      const Status status = LogStore::Open(copy.path()).status();
      EXPECT_EQ(status.code(), StatusCode::kDataLoss) << name << " at " << at << ": " << status;
      EXPECT_NE(status.ToString().find(copy.path()), std::string::npos) << status;
    }
  }
}

TEST_F(LogDamageTest, AGapBetweenEntriesIsRefusedByIndex) {
  {
    MakeLog(dir_.path(), 10);
    auto store = LogStore::Open(dir_.path());
    ASSERT_TRUE((*store)->Write(WriteOf(12, {EntryOf(3, "x")})).ok());
  }
  const Status status = OpenStatus();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_NE(status.ToString().find("entry 11 is missing"), std::string::npos) << status;
}

}  // namespace
}  // namespace faultline::raft
