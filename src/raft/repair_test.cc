// Directories damaged in every way that a seed finds: what is said of them agrees with whether a
// node starts, and what repair keeps is a part without a gap of what was there.
#include "raft/repair.h"

#include "raft/examine_testing.h"

namespace faultline::raft {
namespace {

using testing::HasSubstr;

TEST_F(ExamineTest, ALostIdentityMustBeNamedAndANewOneIsAnotherDirectory) {
  MakeDirectory(2);
  const uint64_t store_id = Examine().identity->store_id;
  WriteAll(dir_ + "/identity", "faultline-identity 1\nnode_id 2\n");
  {
    const Examination found = Examine();
    const auto unnamed = RepairDirectory(found, std::nullopt);
    EXPECT_EQ(unnamed.status().code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(unnamed.status().ToString(), HasSubstr("id: ''"));
  }
  ExpectRepairKeepsPartOfTruth();
  EXPECT_NE(Examine().identity->store_id, store_id);
  const auto other = RepairDirectory(Examine(), 3);
  EXPECT_EQ(other.status().code(), StatusCode::kInvalidArgument) << "it is node 2's";
}

TEST_F(ExamineTest, OldDirectoriesOfSeveralRepairsStandBesideEachOther) {
  MakeDirectory(2);
  const auto first = RepairDirectory(Examine(), std::nullopt);
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = RepairDirectory(Examine(), std::nullopt);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_THAT(first->old_dir, testing::EndsWith("/node.damaged"));
  EXPECT_THAT(second->old_dir, testing::EndsWith("/node.damaged-2"));
  EXPECT_EQ(second->hard_state.term, 2 + 2 * kRepairTerms);
}

TEST_F(ExamineTest, ALinkToADirectoryStaysAndLeadsToTheRepairedOne) {
  MakeDirectory(2);
  const std::string link = dir_ + "-link";
  fs::create_directory_symlink(dir_, link);
  const auto repaired = RepairDirectory(*ExamineDirectory(link), std::nullopt);
  ASSERT_TRUE(repaired.ok()) << repaired.status();
  EXPECT_EQ(repaired->old_dir, dir_ + ".damaged");
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_EQ(ExamineDirectory(link)->log.hard_state.term, repaired->hard_state.term);
  EXPECT_EQ(ExamineDirectory(repaired->old_dir)->log.hard_state.term, 2u);
}

// A flip, a cut, zeros, a file's removal, or several of them.
std::string DamageSomething(const std::string& dir, std::mt19937& random) {
  std::vector<fs::path> files;
  for (const auto& file : fs::recursive_directory_iterator(dir)) {
    const std::string name = file.path().filename();
    const bool matters = name != "LOCK" && name != "IDENTITY" && name.rfind("OPTIONS", 0) != 0;
    if (file.is_regular_file() && file.file_size() > 0 && matters) files.push_back(file.path());
  }
  std::sort(files.begin(), files.end());
  const fs::path path = files[random() % files.size()];
  std::string bytes = ReadAll(path);
  const size_t at = random() % bytes.size();
  std::string what;
  switch (random() % 8) {
    case 0:
      fs::remove(path);
      return fmt::format("without {}", path.filename().string());
    case 1:
    case 2:
      bytes.resize(at);
      what = "cut";
      break;
    case 3:
      std::fill_n(bytes.begin() + static_cast<ptrdiff_t>(at),
                  std::min<size_t>(bytes.size() - at, 1 + random() % 600), '\0');
      what = "zeros";
      break;
    default:
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8));
      what = "flip";
  }
  WriteAll(path, bytes);
  return fmt::format("{} at {} of {}", what, at, path.filename().string());
}

TEST_F(ExamineTest, WhateverIsDamagedTheWordAgreesWithTheStartAndRepairNeverGuesses) {
  MakeDirectory(6);
  const uint32_t seed = std::random_device{}();
  std::mt19937 random(seed);
  const std::string whole = root_.path() + "/whole";
  fs::rename(dir_, whole);
  int damaged = 0, repairable = 0;
  for (int round = 0; round < 60; ++round) {
    fs::copy(whole, dir_, fs::copy_options::recursive);
    std::string what = DamageSomething(dir_, random);
    if (random() % 4 == 0) what += ", " + DamageSomething(dir_, random);
    SCOPED_TRACE(fmt::format("seed {}, round {}: {}", seed, round, what));
    const Picture before = PictureOf(dir_);
    {
      const Status starts = Start(dir_);
      const Examination found = Examine();
      EXPECT_EQ(found.damages.empty(), starts.ok())
          << starts << testing::PrintToString(Damages(found));
      damaged += !starts.ok();
      repairable += !starts.ok() && found.begins();
    }
    EXPECT_EQ(PictureOf(dir_), before);
    ExpectRepairKeepsPartOfTruth();
    if (testing::Test::HasFailure()) return;
    fs::remove_all(dir_);
    fs::remove_all(dir_ + ".damaged");
  }
  EXPECT_GT(damaged, 30) << "seed " << seed;
  EXPECT_GT(repairable, 10) << "seed " << seed;
}

}  // namespace
}  // namespace faultline::raft
