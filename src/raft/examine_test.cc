// Directories as nodes leave them, and damaged ones: what is said of them.
#include "raft/examine_testing.h"

namespace faultline::raft {
namespace {

using testing::Contains;
using testing::HasSubstr;

TEST_F(ExamineTest, AWholeDirectoryIsDescribedAndNotTouched) {
  MakeDirectory(4);
  const Picture before = PictureOf(dir_);
  {
    const Examination found = Examine();
    EXPECT_THAT(Damages(found), testing::IsEmpty());
    EXPECT_THAT(found.cuts, testing::IsEmpty());
    EXPECT_EQ(found.identity->node_id, 2u);
    EXPECT_EQ(found.log.hard_state.term, 4u);
    EXPECT_EQ(found.log.hard_state.voted_for, 1u);
    EXPECT_EQ(found.last_index(), truth_.size());
    EXPECT_EQ(found.log.first_index, snapshot_index_ - 4);
    ASSERT_TRUE(found.snapshot.has_value());
    EXPECT_EQ(found.snapshot->content_bytes, 1'500u);
    ExpectPartOfTruth(found.log);
  }
  EXPECT_EQ(PictureOf(dir_), before);
  EXPECT_TRUE(Start(dir_).ok());
}

TEST_F(ExamineTest, ADirectoryInUseIsRefusedAndOneUnderExaminationIsNotStartedOn) {
  MakeDirectory(2);
  {
    const auto store = LogStore::Open(dir_);
    const auto found = ExamineDirectory(dir_);
    EXPECT_EQ(found.status().code(), StatusCode::kFailedPrecondition);
    EXPECT_THAT(found.status().ToString(), HasSubstr("another process is using"));
  }
  const Examination found = Examine();
  EXPECT_EQ(LogStore::Open(dir_).status().code(), StatusCode::kFailedPrecondition);
}

TEST_F(ExamineTest, WhatIsNoDataDirectoryIsRefused) {
  EXPECT_EQ(ExamineDirectory(root_.path() + "/none").status().code(), StatusCode::kNotFound);
  WriteAll(root_.path() + "/notes.txt", "x");
  const Status other = ExamineDirectory(root_.path()).status();
  EXPECT_EQ(other.code(), StatusCode::kNotFound);
  EXPECT_THAT(other.ToString(), HasSubstr("is no data directory of a controller"));
}

TEST_F(ExamineTest, ATornTailThatWasNotAcknowledgedIsNoDamage) {
  MakeDirectory(2);
  WriteOneThatIsNotAcknowledged();
  TearNewestWal();
  const Picture before = PictureOf(dir_);
  const Examination found = Examine();
  EXPECT_THAT(Damages(found), testing::IsEmpty());
  EXPECT_TRUE(found.torn.has_value());
  EXPECT_THAT(found.notes, Contains(HasSubstr("torn record at offset")));
  EXPECT_THAT(found.notes, Contains(HasSubstr("is discarded at the next start")));
  EXPECT_EQ(found.last_index(), truth_.size());
  EXPECT_EQ(PictureOf(dir_), before);
  EXPECT_TRUE(Start(dir_).ok());
}

TEST_F(ExamineTest, WhatANextStartDoesIsNotSaidWhereThereIsNone) {
  MakeDirectory(2);
  WriteOneThatIsNotAcknowledged();
  TearNewestWal();
  fs::remove(dir_ + "/identity");
  const Examination found = Examine();
  EXPECT_EQ(found.damages.size(), 1u) << testing::PrintToString(Damages(found));
  EXPECT_THAT(found.notes, Contains(HasSubstr("torn record at offset")));
  EXPECT_THAT(found.notes, testing::Not(Contains(HasSubstr("at the next start"))));
}

TEST_F(ExamineTest, ATornTailThatWasAcknowledgedIsDamage) {
  MakeDirectory(2);
  const fs::path wal = TearNewestWal();
  {
    const Examination found = Examine();
    ASSERT_EQ(found.damages.size(), 1u) << testing::PrintToString(Damages(found));
    EXPECT_EQ(found.damages[0].path, fs::canonical(wal));
    EXPECT_TRUE(found.damages[0].offset.has_value());
    EXPECT_THAT(found.damages[0].what, HasSubstr("had been acknowledged"));
    EXPECT_THAT(found.cuts, Contains(HasSubstr("were acknowledged")));
    EXPECT_EQ(found.last_index(), truth_.size() - 1);
    EXPECT_EQ(Start(dir_).code(), StatusCode::kDataLoss);
  }
  ExpectRepairKeepsPartOfTruth();
}

TEST_F(ExamineTest, DamageIsNamedByFileAndOffsetAndWhatIsCutIsSaid) {
  MakeDirectory(2);
  fs::path wal;
  for (const auto& file : fs::directory_iterator(dir_)) {
    if (file.path().extension() == ".log" && file.file_size() > 0) wal = file.path();
  }
  std::string bytes = ReadAll(wal);
  const size_t at = bytes.size() / 2;
  bytes[at] = static_cast<char>(bytes[at] ^ 0x20);
  WriteAll(wal, bytes);
  const Examination found = Examine();
  ASSERT_EQ(found.damages.size(), 1u) << testing::PrintToString(Damages(found));
  EXPECT_EQ(found.damages[0].path, fs::canonical(wal));
  ASSERT_TRUE(found.damages[0].offset.has_value());
  EXPECT_LE(*found.damages[0].offset, at);
  EXPECT_GT(*found.damages[0].offset, at - 1'000);
  EXPECT_LT(found.last_index(), truth_.size());
  EXPECT_GT(found.last_index(), 12u) << "all of the first life, and some of the second";
  EXPECT_THAT(found.cuts, Contains(HasSubstr(fmt::format("of its {} bytes", bytes.size()))));
  EXPECT_THAT(found.cuts, Contains(HasSubstr("were acknowledged")));
}

TEST_F(ExamineTest, WithoutItsSnapshotALogThatRestsOnItIsNothing) {
  MakeDirectory(4);
  for (const auto& file : fs::directory_iterator(dir_ + "/snapshots")) fs::remove(file.path());
  {
    const Examination found = Examine();
    EXPECT_FALSE(found.begins());
    EXPECT_THAT(Damages(found), Contains(HasSubstr("is missing")));
    EXPECT_THAT(found.cuts,
                Contains(HasSubstr(fmt::format("the snapshot at {}", snapshot_index_))));
    EXPECT_THAT(found.cuts, Contains(HasSubstr(fmt::format("to {}: those before", truth_.size()))));
  }
  ExpectRepairKeepsPartOfTruth();
}

TEST_F(ExamineTest, WithoutItsLogASnapshotIsKept) {
  MakeDirectory(4);
  fs::remove(dir_ + "/CURRENT");
  {
    const Examination found = Examine();
    EXPECT_TRUE(found.begins());
    EXPECT_EQ(found.last_index(), snapshot_index_);
    EXPECT_THAT(found.cuts, Contains(HasSubstr("all that the log holds")));
  }
  ExpectRepairKeepsPartOfTruth();
}

}  // namespace
}  // namespace faultline::raft
