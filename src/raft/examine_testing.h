// Directories for the tests that look at them and repair them.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <random>

#include "raft/examine.h"
#include "raft/log_store_testing.h"
#include "raft/repair.h"
#include "raft/test_dir.h"

namespace faultline::raft {

namespace fs = std::filesystem;

inline std::string ReadAll(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline void WriteAll(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// Every file with its content and the time of its last change.
using Picture = std::map<std::string, std::pair<std::string, fs::file_time_type>>;
inline Picture PictureOf(const std::string& dir) {
  Picture picture;
  for (const auto& file : fs::recursive_directory_iterator(dir)) {
    const std::string name = fs::relative(file.path(), dir);
    if (file.is_regular_file()) picture[name] = {ReadAll(file.path()), file.last_write_time()};
  }
  return picture;
}
inline std::map<std::string, std::string> ContentOf(const std::string& dir) {
  std::map<std::string, std::string> content;
  for (const auto& [name, file] : PictureOf(dir)) content[name] = file.first;
  return content;
}

class ExamineTest : public testing::Test {
 protected:
  // A directory of node 2 whose log has been opened `lives` times: entries of one term after the
  // other, in tables and in the write-ahead log; after half of the lives a snapshot.
  void MakeDirectory(int lives, int entries_each = 12) {
    ASSERT_TRUE(OpenIdentity(dir_, 2, false).ok());
    for (int life = 1; life <= lives; ++life) {
      auto store = LogStore::Open(dir_);
      ASSERT_TRUE(store.ok()) << store.status();
      LogWrite write;
      write.hard_state = HardState{static_cast<uint64_t>(life), 1};
      ASSERT_TRUE((*store)->Write(write).ok());
      for (int i = 0; i < entries_each; ++i) {
        const uint64_t index = truth_.size() + 1;
        truth_.push_back(EntryOf(static_cast<uint64_t>(life),
                                 std::string(20 + index * 37 % 700, 'a' + index % 20)));
        ASSERT_TRUE((*store)->Write(WriteOf(index, {truth_.back()})).ok());
      }
      if (life == lives / 2) {
        snapshot_index_ = truth_.size() - 3;
        LogWrite snapshot;
        snapshot.snapshot = SnapshotOf(**store, snapshot_index_, static_cast<uint64_t>(life),
                                       std::string(1'500, 's'));
        snapshot.trim_to = snapshot_index_ - 5;
        ASSERT_TRUE((*store)->Write(snapshot).ok());
      }
    }
  }

  void WriteOneThatIsNotAcknowledged() {
    auto store = LogStore::Open(dir_);
    ASSERT_TRUE(store.ok()) << store.status();
    const std::string acknowledged = ReadAll(dir_ + "/ACKNOWLEDGED");
    ASSERT_TRUE((*store)->Write(WriteOf(truth_.size() + 1, {EntryOf(2, "half of it")})).ok());
    WriteAll(dir_ + "/ACKNOWLEDGED", acknowledged);
  }

  // Cuts off the end of its last record; the file.
  fs::path TearNewestWal() const {
    fs::path wal;
    for (const auto& file : fs::directory_iterator(dir_)) {
      const bool newer = wal.empty() || wal < file.path();
      if (file.path().extension() == ".log" && file.file_size() > 0 && newer) wal = file.path();
    }
    fs::resize_file(wal, fs::file_size(wal) - 5);
    return wal;
  }

  Examination Examine() {
    auto found = ExamineDirectory(dir_);
    EXPECT_TRUE(found.ok()) << found.status();
    return found.ok() ? *std::move(found) : Examination();
  }

  static std::vector<std::string> Damages(const Examination& found) {
    std::vector<std::string> all;
    for (const Damage& damage : found.damages) {
      all.push_back(fmt::format("{} {}: {}", damage.path,
                                damage.offset ? fmt::format("at {}", *damage.offset) : "",
                                damage.what));
    }
    return all;
  }

  // What a node does first with a directory: a copy of it.
  Status Start(const std::string& dir) const {
    TestDir copy;
    fs::copy(dir, copy.path(), fs::copy_options::recursive);
    if (!fs::exists(copy.path() + "/identity")) return absl::DataLossError("no identity");
    FL_RETURN_IF_ERROR(OpenIdentity(copy.path(), 2, false).status());
    FL_ASSIGN_OR_RETURN(const auto store, LogStore::Open(copy.path()));
    const LoadedLog log = store->TakeLoaded();
    return log.snapshot ? CheckSnapshotFile(log.snapshot->bytes->name()).status()
                        : absl::OkStatus();
  }

  // Nothing but what was written, where it was written.
  void ExpectPartOfTruth(const LoadedLog& log) {
    const uint64_t snapshot = log.snapshot ? log.snapshot->metadata.last_index() : 0;
    EXPECT_LE(log.first_index, snapshot + 1);
    EXPECT_TRUE(!log.snapshot || snapshot == snapshot_index_) << snapshot;
    ASSERT_LE(log.first_index + log.entries.size() - 1, truth_.size());
    for (size_t i = 0; i < log.entries.size(); ++i) {
      const EntryPtr& truth = truth_[log.first_index - 1 + i];
      ASSERT_EQ(log.entries[i]->SerializeAsString(), truth->SerializeAsString());
    }
  }

  void ExpectRepairKeepsPartOfTruth();

  TestDir root_;
  const std::string dir_ = root_.path() + "/node";
  std::vector<EntryPtr> truth_;
  uint64_t snapshot_index_ = 0;
};

inline void ExamineTest::ExpectRepairKeepsPartOfTruth() {
  const auto before = ContentOf(dir_);
  StatusOr<Repaired> repaired = absl::UnknownError("");
  uint64_t term = 0;
  {
    const Examination found = Examine();
    ExpectPartOfTruth(found.log);
    repaired = RepairDirectory(found, 2);
    EXPECT_EQ(repaired.ok(), found.begins()) << repaired.status();
    term = found.log.hard_state.term;
  }
  if (!repaired.ok()) {
    EXPECT_EQ(repaired.status().code(), StatusCode::kDataLoss);
    EXPECT_EQ(ContentOf(dir_), before) << "nothing has changed";
    return;
  }
  EXPECT_EQ(ContentOf(repaired->old_dir), before) << "the old one is as it was";
  const Status starts = Start(dir_);
  EXPECT_TRUE(starts.ok()) << starts;
  const Examination again = Examine();
  EXPECT_TRUE(again.damages.empty()) << testing::PrintToString(Damages(again));
  ExpectPartOfTruth(again.log);
  EXPECT_GE(again.log.hard_state.term, term + kRepairTerms);
  EXPECT_GE(again.log.hard_state.term, 1 + kRepairTerms);
  EXPECT_EQ(again.log.hard_state.voted_for, 0u);
  EXPECT_EQ(again.identity->node_id, 2u);
}

}  // namespace faultline::raft
