#include "agent/undo_journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace faultline::agent {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class UndoJournalTest : public testing::Test {
 protected:
  UndoJournalTest() {
    char pattern[] = "/tmp/undo_journal_XXXXXX";
    folder_ = mkdtemp(pattern);
    path_ = folder_ + "/undo.journal";
  }
  ~UndoJournalTest() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<UndoJournal> Open(const std::string& boot_id = "boot-1") {
    auto journal = UndoJournal::Open(path_, boot_id);
    EXPECT_TRUE(journal.ok()) << journal.status();
    return journal.ok() ? *std::move(journal) : nullptr;
  }
  // Kinds in the order in which UndoAll undoes them.
  std::vector<std::string> Undone(UndoJournal& journal) {
    std::vector<std::string> kinds;
    EXPECT_TRUE(journal
                    .UndoAll([&](const std::string& kind, const auto&) {
                      kinds.push_back(kind);
                      return absl::OkStatus();
                    })
                    .ok());
    return kinds;
  }
  std::string Bytes() const {
    std::ifstream in(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }
  void Overwrite(const std::string& bytes) const {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes;
  }

  std::string folder_, path_;
};

TEST_F(UndoJournalTest, AnotherProcessFindsWhatWasRecordedAndUndoesTheNewestFirst) {
  auto journal = Open();
  ASSERT_TRUE(journal->Record("first", {"a", "b"}).ok());
  const auto second = journal->Record("second", {});
  ASSERT_TRUE(journal->Record("third", {"x"}).ok());
  journal->Erase(*second);
  journal.reset();
  auto reopened = Open();
  EXPECT_EQ(reopened->size(), 2u);
  EXPECT_EQ(Undone(*reopened), (std::vector<std::string>{"third", "first"}));
  EXPECT_EQ(reopened->size(), 0u);
  EXPECT_EQ(Open()->size(), 0u);
}

TEST_F(UndoJournalTest, ArgumentsComeBackAsTheyWere) {
  const std::vector<std::string> arguments = {"", "a b", std::string("\0\n", 2)};
  ASSERT_TRUE(Open()->Record("k", arguments).ok());
  std::vector<std::string> seen;
  ASSERT_TRUE(Open()
                  ->UndoAll([&](const std::string&, const auto& found) {
                    seen = found;
                    return absl::OkStatus();
                  })
                  .ok());
  EXPECT_EQ(seen, arguments);
}

TEST_F(UndoJournalTest, WhatCouldNotBeUndoneStays) {
  ASSERT_TRUE(Open()->Record("stubborn", {}).ok());
  const Status status = Open()->UndoAll(
      [](const std::string&, const auto&) { return MakeError(StatusCode::kInternal, "no"); });
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(Open()->size(), 1u);
}

TEST_F(UndoJournalTest, WhatItsOwnerCouldNotUndoIsToldAndTriedAgainAndNothingElse) {
  const auto journal = Open();
  ASSERT_TRUE(journal->Record("in use", {}).ok());
  const auto older = journal->Record("older", {}), newer = journal->Record("newer", {});
  journal->Leave(*older, MakeError(StatusCode::kInternal, "because"));
  EXPECT_THAT(journal->left(), ElementsAre("because"));
  journal->Finish(*newer, MakeError(StatusCode::kInternal, ""));
  EXPECT_THAT(journal->left(), ElementsAre("because", ""));
  std::vector<std::string> tried;
  journal->TryLeft([&](const std::string& kind, const auto&) -> Status {
    tried.push_back(kind);
    if (kind == "newer") return absl::OkStatus();
    return MakeError(StatusCode::kInternal, "still");
  });
  EXPECT_THAT(tried, ElementsAre("newer", "older"));
  EXPECT_THAT(journal->left(), ElementsAre("still"));
  EXPECT_EQ(Open()->size(), 2u) << "what was undone is out of the file";
  journal->Finish(*older, absl::OkStatus());
  EXPECT_THAT(journal->left(), IsEmpty());
  EXPECT_EQ(journal->size(), 1u);
}

TEST_F(UndoJournalTest, WithPatienceWhatFailsIsTriedUntilItIsUndone) {
  const auto journal = Open();
  ASSERT_TRUE(journal->Record("stubborn", {}).ok());
  ASSERT_TRUE(journal->Record("easy", {}).ok());
  std::vector<std::string> tried;
  const auto undo = [&](const std::string& kind, const auto&) -> Status {
    tried.push_back(kind);
    if (kind == "easy" || tried.size() == 4) return absl::OkStatus();
    return MakeError(StatusCode::kInternal, "no");
  };
  EXPECT_TRUE(journal->UndoAll(undo, std::chrono::hours(1)).ok());
  EXPECT_THAT(tried, ElementsAre("easy", "stubborn", "stubborn", "stubborn"));
  EXPECT_EQ(Open()->size(), 0u);
}

TEST_F(UndoJournalTest, DeedsOfAnEarlierBootAreDropped) {
  ASSERT_TRUE(Open("boot-1")->Record("k", {}).ok());
  EXPECT_EQ(Open("boot-2")->size(), 0u);
}

TEST_F(UndoJournalTest, EveryTornEndIsCutOffAndTheRestKept) {
  {
    auto journal = Open();
    ASSERT_TRUE(journal->Record("kept", {"1"}).ok());
  }
  const std::string whole_first = Bytes();
  ASSERT_TRUE(Open()->Record("torn", {"22"}).ok());
  const std::string both = Bytes();
  for (size_t size = whole_first.size(); size < both.size(); ++size) {
    Overwrite(both.substr(0, size));
    auto journal = Open();
    ASSERT_NE(journal, nullptr) << size;
    EXPECT_EQ(Undone(*journal), std::vector<std::string>{"kept"}) << size;
  }
}

TEST_F(UndoJournalTest, DamageBeforeTheEndIsRefusedWithFileAndOffset) {
  {
    auto journal = Open();
    ASSERT_TRUE(journal->Record("first", {"1"}).ok());
    ASSERT_TRUE(journal->Record("second", {"2"}).ok());
  }
  const std::string sound = Bytes();
  const std::string expected = path_ + ": damaged at offset 8";
  for (const size_t at : {8u, 12u, 16u, 22u}) {
    std::string damaged = sound;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    Overwrite(damaged);
    const auto journal = UndoJournal::Open(path_, "boot-1");
    ASSERT_FALSE(journal.ok()) << at;
    EXPECT_EQ(journal.status().code(), StatusCode::kDataLoss);
    EXPECT_EQ(ToString(journal.status().message()), expected) << at;
    EXPECT_EQ(Bytes(), damaged) << "a refused journal is left as it was";
  }
}

TEST_F(UndoJournalTest, OfADamagedOneAllThatIsSoundIsUndone) {
  {
    auto journal = Open();
    for (const char* kind : {"first", "second", "third"}) {
      ASSERT_TRUE(journal->Record(kind, {"1"}).ok());
    }
    journal->Erase(*journal->Record("fourth", {}));
  }
  const std::string sound = Bytes();
  const auto readable = [&](const std::string& boot_id = "boot-1") {
    std::vector<std::string> undone;
    const auto undo = [&](const std::string& kind, const auto&) {
      undone.push_back(kind);
      return absl::OkStatus();
    };
    EXPECT_TRUE(UndoJournal::UndoReadable(path_, undo, boot_id).ok());
    return undone;
  };
  using Kinds = std::vector<std::string>;
  EXPECT_EQ(readable(), (Kinds{"third", "second", "first"}));
  EXPECT_EQ(readable("boot-2"), Kinds{});
  std::string damaged = sound;
  const size_t of_second = damaged.find("second");
  damaged[of_second] = 'S';
  Overwrite(damaged);
  EXPECT_FALSE(UndoJournal::Open(path_, "boot-1").ok());
  EXPECT_EQ(readable(), (Kinds{"third", "first"}));
  damaged[0] = 'X';
  Overwrite(damaged.substr(0, damaged.size() - 3));  // the erasure is torn
  EXPECT_EQ(readable(), (Kinds{"fourth", "third", "first"}));
  EXPECT_EQ(Bytes().size(), damaged.size() - 3) << "the file is left as it was";
  std::filesystem::remove(path_);
  EXPECT_EQ(readable(), Kinds{});
}

TEST_F(UndoJournalTest, AFileThatCannotBeReadIsNotTakenForNone) {
  std::filesystem::create_directory(path_);
  EXPECT_EQ(UndoJournal::Open(path_, "b").status().code(), StatusCode::kInternal);
  EXPECT_TRUE(std::filesystem::is_directory(path_));
}

TEST_F(UndoJournalTest, RefusesAFileThatIsNoJournal) {
  Overwrite("something else entirely");
  EXPECT_EQ(UndoJournal::Open(path_, "b").status().code(), StatusCode::kDataLoss);
}

// No file may grow beyond `bytes` while it exists, as on a disk that is full.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) {
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit full{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &full);
  }
  ~FullDisk() { setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

TEST_F(UndoJournalTest, OnAFullDiskNothingMoreIsRecordedButWhatIsThereIsUndone) {
  ASSERT_TRUE(Open()->Record("first", {"a"}).ok());
  ASSERT_TRUE(Open()->Record("second", {"b"}).ok());
  std::vector<std::string> undone;
  Status refused;
  {
    const FullDisk full(16);
    const auto journal = UndoJournal::Open(path_, "boot-1");
    if (journal.ok()) {
      refused = (*journal)->Record("third", {}).status();
      (*journal)
          ->UndoAll([&](const std::string& kind, const auto&) {
            undone.push_back(kind);
            return absl::OkStatus();
          })
          .IgnoreError();
    }
  }
  EXPECT_FALSE(refused.ok());
  EXPECT_EQ(undone, (std::vector<std::string>{"second", "first"}));
  EXPECT_FALSE(std::filesystem::exists(path_ + ".new"));
  auto later = Open();
  EXPECT_EQ(later->size(), 2u) << "that they were undone could not be written down";
  EXPECT_TRUE(later->Record("fourth", {}).ok());
}

TEST_F(UndoJournalTest, OnAFullDiskATornRecordIsCutOff) {
  ASSERT_TRUE(Open()->Record("first", {"a"}).ok());
  Overwrite(Bytes() + "torn");
  size_t size = 0;
  {
    const FullDisk full(16);
    const auto journal = UndoJournal::Open(path_, "boot-1");
    if (journal.ok()) size = (*journal)->size();
  }
  EXPECT_EQ(size, 1u);
  EXPECT_FALSE(Bytes().ends_with("torn"));
}

TEST_F(UndoJournalTest, StaysSmallOverManyDeeds) {
  auto journal = Open();
  for (int i = 0; i < 1'200; ++i) journal->Erase(*journal->Record("k", {"argument"}));
  EXPECT_LT(Bytes().size(), 100'000u);
}

}  // namespace
}  // namespace faultline::agent
