// Snapshots as bytes and as files: what is damaged is refused, where, and what is under way when a
// process ends leaves nothing that counts.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "raft/load_snapshot.h"
#include "raft/log_store_testing.h"
#include "raft/snapshot_shelf.h"
#include "raft/test_dir.h"
#include "raft/test_group.h"
#include "raft/test_machine.h"

namespace faultline::raft {
namespace {

namespace fs = std::filesystem;

std::string Text(size_t size) {
  std::mt19937 random(5);
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>('a' + random() % 8);
  return text;
}

pb::SnapshotMetadata MetadataAt(uint64_t index) {
  pb::SnapshotMetadata metadata;
  metadata.set_last_index(index);
  metadata.set_last_term(3);
  return metadata;
}

std::string BytesOf(const Snapshot& snapshot) {
  std::string bytes;
  auto source = *snapshot.bytes->Read(0);
  for (;;) {
    const auto piece = source->Next();
    EXPECT_TRUE(piece.ok());
    if (!piece.ok() || piece->empty()) return bytes;
    bytes += *piece;
  }
}

// The content, or why not.
StatusOr<std::string> Decode(const std::string& bytes, size_t piece_bytes = SIZE_MAX) {
  FL_ASSIGN_OR_RETURN(
      const auto decoder,
      SnapshotDecoder::Open(std::make_unique<MemorySource>(bytes, piece_bytes), "the-file"));
  FL_ASSIGN_OR_RETURN(const auto state, LoadText(*decoder));
  return TextOf(*state);
}

TEST(SnapshotCodec, GivesBackWhatWasWrittenWhateverThePieces) {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{256 << 10}, size_t{1'000'000}}) {
    const std::string bytes = BytesOf(*MakeSnapshot(MetadataAt(9), TextImage(Text(size))));
    EXPECT_LT(bytes.size(), size / 2 + 200) << "compressed";
    for (const size_t piece : {size_t{1'000}, SIZE_MAX}) {
      const auto text = Decode(bytes, piece);
      ASSERT_TRUE(text.ok()) << text.status();
      EXPECT_EQ(*text, Text(size));
    }
  }
}

TEST(SnapshotCodec, AFlipAnywhereIsRefusedWithFileAndOffset) {
  const std::string good = BytesOf(*MakeSnapshot(MetadataAt(9), TextImage(Text(600'000))));
  std::mt19937 random(11);
  for (int i = 0; i < 400; ++i) {
    const size_t at = i < 100   ? static_cast<size_t>(i)
                      : i < 200 ? good.size() - 300 + static_cast<size_t>(i)
                                : random() % good.size();
    if (at >= good.size()) continue;
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ (1 << random() % 8));
    const Status status = Decode(bad).status();
    ASSERT_EQ(status.code(), StatusCode::kDataLoss) << "flip at " << at << ": " << status;
    EXPECT_NE(status.ToString().find("the-file"), std::string::npos) << status;
    if (at >= 8) {
      EXPECT_NE(status.ToString().find("damaged at offset"), std::string::npos) << status;
    }
  }
}

TEST(SnapshotCodec, CutOffAnywhereOrWithBytesAfterItsEndIsRefused) {
  const std::string good = BytesOf(*MakeSnapshot(MetadataAt(9), TextImage(Text(300'000))));
  for (size_t keep = 0; keep < good.size();
       keep += keep < 60 || keep + 60 > good.size() ? 1 : 997) {
    EXPECT_EQ(Decode(good.substr(0, keep)).status().code(), StatusCode::kDataLoss) << keep;
  }
  EXPECT_EQ(Decode(good + "x").status().code(), StatusCode::kDataLoss);
}

class SnapshotFileTest : public testing::Test {
 protected:
  // A log with a snapshot at 8 of `text`, closed; the path of its file.
  std::string MakeLogWithSnapshot(const std::string& text) {
    MakeLog(dir_.path(), 10);
    auto store = LogStore::Open(dir_.path());
    EXPECT_TRUE(store.ok()) << store.status();
    LogWrite write;
    write.snapshot = SnapshotOf(**store, 8, 3, text);
    write.trim_to = 5;
    EXPECT_TRUE((*store)->Write(write).ok());
    return write.snapshot->bytes->name();
  }
  size_t Files() const {
    size_t files = 0;
    for (const auto& file : fs::directory_iterator(dir_.path() + "/snapshots")) {
      files += file.is_regular_file();
    }
    return files;
  }

  TestDir dir_;
};

TEST_F(SnapshotFileTest, AFlipAnywhereInTheFileIsRefusedWhenItIsLoaded) {
  const std::string path = MakeLogWithSnapshot(Text(50'000) + "\n");
  std::ifstream in(path, std::ios::binary);
  const std::string good{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  const TestMachine machine;
  std::mt19937 random(3);
  for (int i = 0; i < 60; ++i) {
    std::string bad = good;
    bad[random() % bad.size()] ^= 0x20;
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bad;
    auto store = LogStore::Open(dir_.path());
    ASSERT_TRUE(store.ok()) << store.status();
    const Status status = LoadSnapshot(*(*store)->TakeLoaded().snapshot, machine).status();
    ASSERT_EQ(status.code(), StatusCode::kDataLoss) << status;
    EXPECT_NE(status.ToString().find(path), std::string::npos) << status;
  }
}

TEST_F(SnapshotFileTest, AFileThatIsMissingOrShortIsRefusedAtOpen) {
  const std::string path = MakeLogWithSnapshot(Text(5'000));
  fs::resize_file(path, fs::file_size(path) - 1);
  Status status = LogStore::Open(dir_.path()).status();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_NE(status.ToString().find(path + " is damaged at offset"), std::string::npos) << status;
  fs::remove(path);
  status = LogStore::Open(dir_.path()).status();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_NE(status.ToString().find(path + " is missing"), std::string::npos) << status;
}

TEST_F(SnapshotFileTest, WhatACrashLeavesBesideTheSnapshotThatCountsIsRemovedAtStart) {
  const std::string path = MakeLogWithSnapshot("state");
  // Ended while it wrote, and after the rename but before the log knew of it.
  std::ofstream(dir_.path() + "/snapshots/00000000000000000009-3-0.snapshot.tmp") << "half";
  std::ofstream(dir_.path() + "/snapshots/00000000000000000009-3-1.snapshot") << "whole";
  std::ofstream(dir_.path() + "/snapshots/x.part") << "goes on later";
  auto store = LogStore::Open(dir_.path());
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_EQ(DataOf(*(*store)->TakeLoaded().snapshot), "state");
  EXPECT_EQ(Files(), 2u) << "the snapshot and the fetch";
  EXPECT_TRUE(fs::exists(path));
}

TEST_F(SnapshotFileTest, TheOneBeforeIsRemovedOnceTheNextIsDurableAndNobodyReadsIt) {
  MakeLogWithSnapshot("first");
  auto store = LogStore::Open(dir_.path());
  ASSERT_TRUE(store.ok()) << store.status();
  SnapshotPtr first = (*store)->TakeLoaded().snapshot;
  {
    LogWrite write;
    write.snapshot = SnapshotOf(**store, 9, 3, "second");
    ASSERT_TRUE((*store)->Write(write).ok());
  }
  EXPECT_EQ(Files(), 2u);
  EXPECT_EQ(DataOf(*first), "first");
  first = nullptr;
  EXPECT_EQ(Files(), 1u);
  {
    SnapshotOf(**store, 10, 3, "never in the log");
  }
  EXPECT_EQ(Files(), 1u);
}

TEST_F(SnapshotFileTest, AFetchGoesOnWhereItWasInterrupted) {
  MakeLog(dir_.path(), 1);
  auto store = LogStore::Open(dir_.path());
  ASSERT_TRUE(store.ok());
  SnapshotFolder& folder = (*store)->snapshots();
  const SnapshotPtr source = MakeSnapshot(MetadataAt(50), TextImage(Text(100'000)));
  const std::string bytes = BytesOf(*source);
  auto wanted = std::make_shared<Snapshot>();
  wanted->metadata = source->metadata;
  wanted->sum = source->sum;
  uint64_t have = 0;
  {
    DurableFile file;
    ASSERT_TRUE(folder.OpenPart(wanted, &file, &have).ok());
    EXPECT_EQ(have, 0u);
    ASSERT_TRUE(file.Append(bytes.substr(0, 1'000)).ok());
  }
  DurableFile file;
  ASSERT_TRUE(folder.OpenPart(wanted, &file, &have).ok());
  EXPECT_EQ(have, 1'000u);
  ASSERT_TRUE(file.Append(bytes.substr(have)).ok());
  const auto fetched = folder.FinishPart(wanted, &file);
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_EQ(DataOf(**fetched), Text(100'000));
  // Another snapshot's part is of no use.
  auto other = std::make_shared<Snapshot>(*wanted);
  other->sum.crc32c ^= 1;
  {
    DurableFile part;
    ASSERT_TRUE(folder.OpenPart(wanted, &part, &have).ok());
    ASSERT_TRUE(part.Append("abc").ok());
  }
  DurableFile part;
  ASSERT_TRUE(folder.OpenPart(other, &part, &have).ok());
  EXPECT_EQ(have, 0u);
  EXPECT_EQ(Files(), 2u) << "the fetched one and the new part";
}

TEST(FetchedSnapshot, ThatIsNotInstalledIsLetGoOnceItsEntriesAreApplied) {
  TestGroup group(3);
  const uint64_t leader = group.WaitForLeader();
  const uint64_t follower = leader % 3 + 1;
  const uint64_t index = group.driver(leader).core_status().last_index + 2;
  const auto applied = [&] { return group.driver(follower).view().applied_index; };
  SnapshotPtr fetched = MakeSnapshot(MetadataAt(index), TextImage("x\n"));
  const std::weak_ptr<const Snapshot> there = fetched;
  // Its offer was of an earlier term.
  group.driver(follower).FetchDone(Driver::Fetched{std::move(fetched), nullptr});
  ASSERT_TRUE(group.Propose(leader, "a").ok());
  ASSERT_TRUE(group.RunFor(1'000, [&] { return applied() == index - 1; }));
  EXPECT_FALSE(there.expired()) << "the next leader may offer the same";
  ASSERT_TRUE(group.Propose(leader, "b").ok());
  ASSERT_TRUE(group.RunFor(1'000, [&] { return applied() == index; }));
  EXPECT_TRUE(there.expired());
}

TEST(FetchedSnapshot, IsNotLetGoWhileTheDiskRefuses) {
  TestGroup group(3);
  const uint64_t leader = group.WaitForLeader();
  const uint64_t follower = leader % 3 + 1;
  Driver& driver = group.driver(follower);
  group.SetDisk(follower, TestGroup::Disk::kFails);
  ASSERT_TRUE(group.Propose(leader, "a").ok());
  ASSERT_TRUE(group.RunFor(1'000, [&] { return !driver.storage_problem().ok(); }));
  SnapshotPtr fetched = MakeSnapshot(MetadataAt(driver.view().applied_index), TextImage("x\n"));
  const std::weak_ptr<const Snapshot> there = fetched;
  driver.FetchDone(Driver::Fetched{std::move(fetched), nullptr});
  group.RunFor(1'000);
  EXPECT_FALSE(there.expired()) << "its file would be removed by whoever hears from the others";
  group.SetDisk(follower, TestGroup::Disk::kWorks);
  group.RunFor(1'000);
  EXPECT_TRUE(there.expired());
}

TEST(SnapshotShelf, KeepsAnOlderOneAsLongAsItIsFetched) {
  SnapshotShelf shelf;
  const auto at = [](uint64_t index) { return MakeSnapshot(MetadataAt(index), TextImage("x")); };
  const SnapshotPtr first = at(1), second = at(2), third = at(3);
  shelf.Put(first, 0);
  EXPECT_TRUE(shelf.Read(*first, 3, 1).ok());
  EXPECT_EQ(shelf.Read(*second, 0, 1).status().code(), StatusCode::kNotFound);
  shelf.Put(second, 2);
  EXPECT_TRUE(shelf.Read(*first, 0, 3).ok());
  shelf.Put(third, 4);
  EXPECT_TRUE(shelf.Read(*first, 0, 5).ok());
  EXPECT_EQ(shelf.Read(*second, 0, 5).status().code(), StatusCode::kNotFound);
  shelf.Put(at(4), 6 + SnapshotShelf::kKeepNs);
  EXPECT_EQ(shelf.Read(*first, 0, 7 + SnapshotShelf::kKeepNs).status().code(),
            StatusCode::kNotFound);
}

}  // namespace
}  // namespace faultline::raft
