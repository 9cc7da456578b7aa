// Directories and saved snapshots offline: what is said about them, and the new cluster that begins
// with one.
#include "server/saved_snapshot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "control/snapshot.h"
#include "control/test_support.h"
#include "raft/examine.h"
#include "raft/log_store.h"
#include "raft/test_dir.h"
#include "raft/write_directory.h"
#include "server/data_directory.h"
#include "server/offline_state.h"
#include "server/state_image.h"

namespace faultline::server {
namespace {

namespace fs = std::filesystem;
using control::testing::Driver;
using testing::Contains;
using testing::HasSubstr;

constexpr uint64_t kIndex = 500, kTerm = 7, kRestored = kIndex + kRestoreEntries;

std::string ReadAll(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

Driver SomeState() {
  Driver d;
  d.index = kIndex - 20;
  d.state.cluster_id = "the-old-one";
  d.Register("a", 1, {"x", "y"});
  const std::string done = d.Create("service:y", "r1");
  d.Report("a", 1, done, "a/y", chaos::v1::TARGET_PHASE_REFUSED, "no");
  d.Create("service:x", "r2");
  return d;
}

class SavedTest : public testing::Test {
 protected:
  SavedTest() {
    raft::pb::SnapshotHeader header;
    header.mutable_metadata()->set_last_index(kIndex);
    header.mutable_metadata()->set_last_term(kTerm);
    auto* member = header.mutable_metadata()->mutable_configuration()->add_members();
    member->set_id(4);
    member->set_address("10.0.0.4:7401");
    header.set_created_unix_ms(control::testing::kStartMs);
    const StateImage image(SomeState().state);
    EXPECT_TRUE(raft::WriteSnapshotFile(file_, header, [&](const ByteSink& sink) {
                  return image.Write(sink);
                }).ok());
  }

  RestoreOptions OptionsFor(uint64_t id) const {
    RestoreOptions options;
    options.file = file_;
    options.data_dir = Dir(id);
    options.node_id = id;
    options.members = {{2, "b:7401"}, {1, "a:7401"}, {3, "c:7401"}};
    return options;
  }
  std::string Dir(uint64_t id) const { return fmt::format("{}/node-{}", root_.path(), id); }
  std::string SnapshotIn(uint64_t id) const {
    for (const auto& file : fs::directory_iterator(Dir(id) + "/snapshots")) return file.path();
    return "";
  }

  raft::TestDir root_;
  const std::string file_ = root_.path() + "/saved.snapshot";
};

TEST_F(SavedTest, InspectionSaysWhatIsInIt) {
  const auto saved = InspectSnapshot(file_);
  ASSERT_TRUE(saved.ok()) << saved.status();
  EXPECT_EQ(saved->snapshot().index(), kIndex);
  EXPECT_EQ(saved->snapshot().term(), kTerm);
  EXPECT_EQ(saved->snapshot().size_bytes(), fs::file_size(file_));
  EXPECT_EQ(saved->snapshot().members(0).address(), "10.0.0.4:7401");
  EXPECT_EQ(saved->state().cluster_id(), "the-old-one");
  EXPECT_EQ(saved->state().experiments(), 2u);
  EXPECT_EQ(saved->state().unfinished(), 1u);
  EXPECT_EQ(saved->state().agents(), 1u);
}

TEST_F(SavedTest, WhatIsDamagedCutOrNoSnapshotIsRefusedAndNothingIsMadeOfIt) {
  const std::string good = ReadAll(file_);
  const uint32_t seed = std::random_device{}();
  std::mt19937 random(seed);
  for (int round = 0; round < 60; ++round) {
    std::string bad = good;
    const size_t at = random() % good.size();
    if (round % 3 == 0) {
      bad.resize(at);
    } else {
      bad[at] = static_cast<char>(bad[at] ^ (1 << random() % 8));
    }
    std::ofstream(file_, std::ios::binary | std::ios::trunc) << bad;
    const Status status = InspectSnapshot(file_).status();
    ASSERT_EQ(status.code(), StatusCode::kDataLoss) << "seed " << seed << " at " << at;
    EXPECT_THAT(status.ToString(), HasSubstr(file_));
    EXPECT_EQ(RestoreSnapshot(OptionsFor(1)).status().code(), StatusCode::kDataLoss);
    EXPECT_FALSE(fs::exists(Dir(1)));
  }
  const Status missing = InspectSnapshot(root_.path() + "/none").status();
  EXPECT_EQ(missing.code(), StatusCode::kInvalidArgument) << missing;
}

TEST_F(SavedTest, EveryMemberIsRestoredByItselfAndAllAgree) {
  std::set<uint64_t> stores;
  std::string cluster_id, snapshot;
  for (const uint64_t id : {1, 2, 3}) {
    RestoreOptions options = OptionsFor(id);
    if (id == 2) std::swap(options.members[0], options.members[2]);  // their order says nothing
    const auto restored = RestoreSnapshot(options);
    ASSERT_TRUE(restored.ok()) << restored.status();
    EXPECT_EQ(restored->from_cluster_id(), "the-old-one");
    EXPECT_EQ(restored->ended(), 1u);
    EXPECT_EQ(restored->index(), kRestored);
    EXPECT_EQ(restored->term(), kTerm + 1);
    if (id == 1) {
      cluster_id = restored->cluster_id();
      snapshot = ReadAll(SnapshotIn(id));
    }
    EXPECT_EQ(restored->cluster_id(), cluster_id);
    EXPECT_EQ(ReadAll(SnapshotIn(id)), snapshot) << "the same bytes";
    const auto found = raft::ExamineDirectory(Dir(id));
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_TRUE(found->damages.empty());
    EXPECT_EQ(found->identity->node_id, id);
    EXPECT_EQ(found->identity->cluster_id, cluster_id);
    EXPECT_FALSE(found->identity->joined);
    stores.insert(found->identity->store_id);
    EXPECT_EQ(found->log.hard_state.term, kTerm + 1);
    EXPECT_EQ(found->log.hard_state.voted_for, 0u);
    EXPECT_EQ(found->last_index(), kRestored);
    const auto& members = found->snapshot->header.metadata().configuration().members();
    ASSERT_EQ(members.size(), 3);
    EXPECT_EQ(members[0].address(), "a:7401");
  }
  EXPECT_EQ(stores.size(), 3u);
  EXPECT_NE(cluster_id, "the-old-one");
  const auto state = StateOfFile(SnapshotIn(1));
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(state->cluster_id, cluster_id);
  EXPECT_EQ(state->unfinished.size(), 1u) << "until its agent has said so";
  EXPECT_TRUE(state->by_end.empty());
}

TEST_F(SavedTest, OtherMembersOrAnotherNameAreAnotherCluster) {
  const auto first = RestoreSnapshot(OptionsFor(1));
  RestoreOptions named = OptionsFor(2);
  named.name = "rehearsal";
  const auto second = RestoreSnapshot(named);
  RestoreOptions others = OptionsFor(3);
  others.members = {{3, "c:7401"}};
  const auto third = RestoreSnapshot(others);
  ASSERT_TRUE(first.ok() && second.ok() && third.ok());
  EXPECT_EQ((std::set<std::string>{first->cluster_id(), second->cluster_id(), third->cluster_id()})
                .size(),
            3u);
}

TEST_F(SavedTest, MembersThatDoNotFitAndFullDirectoriesAreRefusedByField) {
  const auto refused = [&](const RestoreOptions& options, const std::string& text) {
    const Status status = RestoreSnapshot(options).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(status.ToString(), HasSubstr(text));
  };
  refused(OptionsFor(4), "id: '4' is not allowed: the id of one of the members");
  RestoreOptions twice = OptionsFor(1);
  twice.members[1].id = 3;
  refused(twice, "members: '3' is not allowed: each id once");
  RestoreOptions same = OptionsFor(1);
  same.members[0].address = "c:7401";
  refused(same, "members: 'c:7401' is not allowed: each address once");
  fs::create_directories(Dir(1));
  std::ofstream(Dir(1) + "/something") << "x";
  refused(OptionsFor(1), "a directory that is missing or empty");
  EXPECT_EQ(ReadAll(Dir(1) + "/something"), "x");
  fs::create_directories(Dir(2));
  fs::permissions(Dir(2), fs::perms::owner_all);
  ASSERT_TRUE(RestoreSnapshot(OptionsFor(2)).ok()) << "an empty one is taken";
  EXPECT_EQ(fs::status(Dir(2)).permissions(), fs::perms::owner_all);
}

TEST_F(SavedTest, AnUnfinishedDownloadLeavesWhatWasThere) {
  const std::string good = ReadAll(file_);
  const std::string path = root_.path() + "/kept.snapshot";
  std::ofstream(path) << "the last one";
  {
    SnapshotDownload download(path);
    ASSERT_TRUE(download.Begin().ok());
    ASSERT_TRUE(download.Append(good.substr(0, good.size() / 2)).ok());
    EXPECT_EQ(download.Finish().status().code(), StatusCode::kDataLoss);
  }
  EXPECT_EQ(ReadAll(path), "the last one");
  EXPECT_FALSE(fs::exists(path + ".part"));
  {
    SnapshotDownload download(path);
    ASSERT_TRUE(download.Begin().ok());
    ASSERT_TRUE(download.Append("an attempt that broke").ok());
    ASSERT_TRUE(download.Begin().ok());
    ASSERT_TRUE(download.Append(good).ok());
    const auto saved = download.Finish();
    ASSERT_TRUE(saved.ok()) << saved.status();
    EXPECT_EQ(saved->snapshot().file(), path);
  }
  EXPECT_EQ(ReadAll(path), good);
  EXPECT_FALSE(fs::exists(path + ".part"));
}

TEST_F(SavedTest, ACheckSaysWhatIsThereAndOfDamageWhatToDo) {
  ASSERT_TRUE(RestoreSnapshot(OptionsFor(1)).ok());
  const auto report = CheckDirectory(Dir(1));
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_FALSE(report->damaged());
  EXPECT_EQ(report->node_id(), 1u);
  EXPECT_EQ(report->snapshot().index(), kRestored);
  EXPECT_EQ(report->members_size(), 3);
  EXPECT_EQ(report->state().experiments(), 2u);
  EXPECT_EQ(report->advice_size(), 0);

  std::fstream file(SnapshotIn(1), std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(fs::file_size(SnapshotIn(1))) - 40);
  file.put('?');
  file.close();
  const auto damaged = CheckDirectory(Dir(1));
  ASSERT_TRUE(damaged.ok()) << damaged.status();
  EXPECT_TRUE(damaged->damaged());
  EXPECT_FALSE(damaged->repairable());
  ASSERT_EQ(damaged->damages_size(), 1) << damaged->DebugString();
  EXPECT_EQ(damaged->damages(0).file(), fs::canonical(SnapshotIn(1)));
  EXPECT_TRUE(damaged->damages(0).has_offset());
  EXPECT_THAT(damaged->advice(), Contains(HasSubstr("faultline cluster replace 1 NEW HOST:PORT")));
  EXPECT_THAT(damaged->advice(), Contains(HasSubstr("snapshot restore")));
  EXPECT_EQ(RepairDirectory(Dir(1), std::nullopt).status().code(), StatusCode::kDataLoss);
  const Status exported =
      ExportDirectory(Dir(1), [](const v1::ExportLine&) { return absl::OkStatus(); });
  EXPECT_EQ(exported.code(), StatusCode::kDataLoss);
}

TEST_F(SavedTest, OthersHaveToForgetTheDirectoryThatIsRepaired) {
  ASSERT_TRUE(RestoreSnapshot(OptionsFor(1)).ok());
  std::ofstream(Dir(1) + "/identity") << "?";
  const auto damaged = CheckDirectory(Dir(1));
  ASSERT_TRUE(damaged.ok()) << damaged.status();
  EXPECT_TRUE(damaged->repairable());
  EXPECT_THAT(damaged->advice(), Contains(HasSubstr("and remove the file 'peers' from their")));
}

TEST_F(SavedTest, AnExportIsTheWholeStateWithWhatFollowsTheSnapshot) {
  ASSERT_TRUE(RestoreSnapshot(OptionsFor(1)).ok());
  {
    const auto store = raft::LogStore::Open(Dir(1));
    ASSERT_TRUE(store.ok()) << store.status();
    auto entry = std::make_shared<raft::pb::Entry>();
    entry->set_term(kTerm + 1);
    entry->set_type(raft::pb::ENTRY_TYPE_COMMAND);
    control::v1::Command command = Driver::CreateCommand("service:y", "r9");
    command.set_time_unix_ms(control::testing::kStartMs + 1'000);
    // Admission wants its agent connected.
    control::v1::Command again;
    auto* agent = again.mutable_register_agent()->mutable_agent();
    *agent = SomeState().state.agents.at("a");
    auto first = std::make_shared<raft::pb::Entry>(*entry);
    first->set_data(again.SerializeAsString());
    entry->set_data(command.SerializeAsString());
    raft::LogWrite write;
    write.first_index = kRestored + 1;
    write.entries = {first, entry};
    ASSERT_TRUE((*store)->Write(write).ok());
  }
  std::vector<v1::ExportLine> lines;
  const Status status = ExportDirectory(Dir(1), [&](const v1::ExportLine& line) {
    lines.push_back(line);
    return absl::OkStatus();
  });
  ASSERT_TRUE(status.ok()) << status;
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_EQ(lines[0].directory().last_index(), kRestored + 2);
  EXPECT_EQ(lines[3].experiment().experiment_id(), fmt::format("exp-{}", kRestored + 2));
  EXPECT_EQ(lines[4].agent().agent_id(), "a");
}

}  // namespace
}  // namespace faultline::server
