// A member whose disk hangs or fails, over the driver: it leads no longer, the others go on, and it
// comes back once the disk has taken the write.
#include <gtest/gtest.h>

#include "raft/test_group.h"

namespace faultline::raft {
namespace {

using Disk = TestGroup::Disk;

// Runs until another member than `before` leads; 0 when none does in time.
uint64_t WaitForAnother(TestGroup& group, uint64_t before) {
  const bool found = group.RunFor(20'000, [&] {
    const uint64_t leader = group.Leader();
    return leader != 0 && leader != before;
  });
  return found ? group.Leader() : 0;
}

TEST(DriverStorageTest, ALeaderWhoseWriteDoesNotEndHandsOverAndComesBackOnceItHas) {
  TestGroup group(3);
  const uint64_t leader = group.WaitForLeader();
  ASSERT_TRUE(group.Propose(leader, "before").ok());
  group.SetDisk(leader, Disk::kHangs);
  group.Submit(leader, "in the write that hangs");
  std::optional<Status> behind;
  group.driver(leader).Propose("behind it", [&](const auto& r) { behind = r.status(); });
  ASSERT_TRUE(group.RunFor(5'000, [&] { return !group.driver(leader).storage_problem().ok(); }));
  ASSERT_EQ(group.driver(leader).core_status().role, Role::kLeader) << "nobody has taken over";
  EXPECT_EQ(group.driver(leader).quorum_ns(), 0u);
  const uint64_t next = WaitForAnother(group, leader);
  ASSERT_NE(next, 0u) << "a leader that commits nothing stays";
  EXPECT_TRUE(group.Propose(next, "led by another").ok());
  const View hung = group.driver(leader).view();
  EXPECT_EQ(hung.role, Role::kFollower);
  EXPECT_NE(hung.storage_problem.find("has not answered for"), std::string::npos)
      << hung.storage_problem;
  ASSERT_TRUE(behind.has_value());
  EXPECT_EQ(ReasonOf(*behind), "STORAGE_FAILED");
  EXPECT_EQ(ReasonOf(group.Propose(leader, "no")), "STORAGE_FAILED");

  group.SetDisk(leader, Disk::kWorks);
  EXPECT_TRUE(group.driver(leader).storage_problem().ok());
  ASSERT_TRUE(group.RunFor(5'000, [&] { return group.machine(leader).size() == 3; }));
  EXPECT_EQ(group.machine(leader).commands(), group.machine(next).commands());
  group.RunFor(1'000);
  ASSERT_TRUE(group.Transfer(next, leader).ok());
  ASSERT_EQ(WaitForAnother(group, next), leader);
  EXPECT_TRUE(group.Propose(leader, "after it").ok());
  EXPECT_EQ(group.overlapping_writes(), 0);
}

TEST(DriverStorageTest, AWriteThatHangsAndThenFailsIsEndedOnceWhenItIsThrough) {
  TestGroup group(3);
  const uint64_t leader = group.WaitForLeader();
  group.SetDisk(leader, Disk::kHangs);
  group.Submit(leader, "x");
  const uint64_t next = WaitForAnother(group, leader);
  ASSERT_NE(next, 0u);
  group.SetDisk(leader, Disk::kFails);
  EXPECT_NE(group.driver(leader).view().storage_problem.find("input/output error"),
            std::string::npos);
  ASSERT_TRUE(group.Propose(next, "y").ok());
  group.SetDisk(leader, Disk::kWorks);
  ASSERT_TRUE(group.RunFor(5'000, [&] { return group.machine(leader).size() == 2; }));
  group.RunFor(1'000);  // what others have committed is applied before it is stored here
  const CoreStatus status = group.driver(leader).core_status();
  EXPECT_EQ(status.last_stored, status.last_index);
  EXPECT_TRUE(group.driver(leader).failure().ok());
  EXPECT_EQ(group.overlapping_writes(), 0);
}

TEST(DriverStorageTest, AMemberOfItsOwnAnswersAgainWhenItsWriteHasEnded) {
  TestGroup group(1);
  ASSERT_EQ(group.WaitForLeader(), 1u);
  group.SetDisk(1, Disk::kHangs);
  std::optional<Status> unknown;
  group.driver(1).Propose("x", [&](const auto& r) { unknown = r.status(); });
  ASSERT_TRUE(group.RunFor(5'000, [&] { return unknown.has_value(); }));
  EXPECT_EQ(ReasonOf(*unknown), "LEADERSHIP_LOST") << "it may come through yet";
  EXPECT_EQ(group.Leader(), 0u) << "nothing may rest on it";
  group.SetDisk(1, Disk::kWorks);
  EXPECT_TRUE(group.Propose(1, "y").ok());
  EXPECT_EQ(group.machine(1).size(), 2u);
}

TEST(DriverStorageTest, ADiskThatWorksAgainBeforeAnotherHasTakenOverStopsNobody) {
  TestGroup group(3);
  const uint64_t leader = group.WaitForLeader();
  ASSERT_TRUE(group.Propose(leader, "before").ok());
  // As if the others were far: none has taken over by the time the disk works again.
  group.tamper = [](uint64_t, uint64_t, pb::PeerMessage* message) {
    return !message->has_timeout_now();
  };
  group.SetDisk(leader, Disk::kFails);
  group.Submit(leader, "in the write that fails");
  std::optional<Status> changed;
  group.driver(leader).Change({MemberChange::Kind::kAdd, 4, TestGroup::AddressOf(4)},
                              [&](const Status& status) { changed = status; });
  const auto hands_over = [&] { return group.driver(leader).core_status().transferee != 0; };
  ASSERT_TRUE(group.RunFor(10, hands_over));
  group.SetDisk(leader, Disk::kWorks);
  ASSERT_TRUE(group.driver(leader).storage_problem().ok());
  ASSERT_TRUE(hands_over());
  EXPECT_EQ(ReasonOf(group.Transfer(leader, 0)), "CHANGE_PENDING");
  EXPECT_TRUE(group.Propose(leader, "while it hands over").ok());
  EXPECT_TRUE(group.driver(leader).failure().ok()) << group.driver(leader).failure();
  ASSERT_TRUE(group.RunFor(5'000, [&] { return changed.has_value(); }));
  EXPECT_TRUE(changed->ok()) << *changed;
  EXPECT_EQ(group.Leader(), leader);

  // It is the handing over alone that others wait for.
  group.SetDisk(leader, Disk::kFails);
  group.Submit(leader, "fails as well");
  ASSERT_TRUE(group.RunFor(10, hands_over));
  group.SetDisk(leader, Disk::kWorks);
  EXPECT_EQ(ReasonOf(group.Transfer(leader, 0)), "CHANGE_PENDING");
  const Status change =
      group.Change(leader, {MemberChange::Kind::kAdd, 5, TestGroup::AddressOf(5)});
  EXPECT_EQ(ReasonOf(change), "CHANGE_PENDING");
  ASSERT_TRUE(group.RunFor(5'000, [&] { return !hands_over(); }));
  group.tamper = nullptr;
  ASSERT_TRUE(group.Transfer(leader, 0).ok());
  EXPECT_NE(WaitForAnother(group, leader), 0u);
}

TEST(DriverStorageTest, AWriteOfUnderTwoSecondsCostsNobodyAnything) {
  TestGroup group(3);
  const uint64_t leader = group.WaitForLeader();
  const uint64_t term = group.Term(leader);
  std::vector<Status> ended;
  const auto propose = [&](const std::string& command) {
    group.driver(leader).Propose(command, [&](const auto& r) { ended.push_back(r.status()); });
  };
  group.RunFor(1'000);
  group.SetDisk(leader, Disk::kHangs);
  group.Submit(leader, "a");
  propose("b");
  ASSERT_FALSE(group.RunFor(1'900, [&] { return !group.driver(leader).storage_problem().ok(); }));
  EXPECT_EQ(group.driver(leader).view().role, Role::kLeader);
  EXPECT_NE(group.driver(leader).quorum_ns(), 0u);
  group.SetDisk(leader, Disk::kWorks);
  ASSERT_TRUE(group.RunFor(1'000, [&] { return ended.size() == 1; }));
  EXPECT_TRUE(ended[0].ok()) << ended[0];
  group.RunFor(3'000);
  EXPECT_EQ(group.Leader(), leader);
  EXPECT_EQ(group.Term(leader), term);
  EXPECT_EQ(group.machine(leader).commands(), (std::vector<std::string>{"a", "b"}));
}

TEST(DriverStorageTest, AWriteOfOverTwoSecondsHandsOverOnce) {
  TestGroup group(3);
  const uint64_t leader = group.WaitForLeader();
  const uint64_t term = group.Term(leader);
  group.RunFor(1'000);
  group.SetDisk(leader, Disk::kHangs);
  std::optional<Status> held, behind;
  group.driver(leader).Propose("held", [&](const auto& r) { held = r.status(); });
  group.RunFor(500);
  group.driver(leader).Propose("behind it", [&](const auto& r) { behind = r.status(); });
  group.RunFor(2'000);
  const uint64_t next = group.Leader();
  EXPECT_NE(next, leader);
  ASSERT_NE(next, 0u);
  ASSERT_TRUE(held.has_value());
  EXPECT_TRUE(held->ok()) << "the two others had it: " << *held;
  ASSERT_TRUE(behind.has_value());
  EXPECT_EQ(ReasonOf(*behind), "STORAGE_FAILED") << *behind;
  group.SetDisk(leader, Disk::kWorks);
  group.RunFor(5'000);
  EXPECT_EQ(group.Leader(), next);
  EXPECT_EQ(group.Term(next), term + 1);
  for (uint64_t id = 1; id <= 3; ++id) {
    EXPECT_EQ(group.machine(id).commands(), std::vector<std::string>{"held"}) << id;
  }
  EXPECT_EQ(group.overlapping_writes(), 0);
}

TEST(DriverStorageTest, AFollowerWhoseWriteDoesNotEndDisturbsNobodyAndGivesNoVote) {
  TestGroup group(3);
  const uint64_t leader = group.WaitForLeader();
  const uint64_t term = group.Term(leader);
  const uint64_t follower = leader % 3 + 1;
  group.SetDisk(follower, Disk::kHangs);
  ASSERT_TRUE(group.Propose(leader, "a").ok());
  ASSERT_TRUE(group.RunFor(5'000, [&] { return !group.driver(follower).storage_problem().ok(); }));
  ASSERT_TRUE(group.Propose(leader, "b").ok());
  ASSERT_TRUE(group.RunFor(1'000, [&] { return group.machine(follower).size() == 2; }))
      << "it goes on applying";
  group.RunFor(5'000);
  EXPECT_EQ(group.Leader(), leader);
  EXPECT_EQ(group.Term(leader), term);
  EXPECT_LT(group.driver(follower).core_status().last_stored,
            group.driver(follower).core_status().last_index);
  group.Stop(leader);
  EXPECT_EQ(group.WaitForLeader(5'000), 0u) << "no vote that is not durable";
  group.SetDisk(follower, Disk::kWorks);
  const uint64_t next = group.WaitForLeader();
  ASSERT_NE(next, 0u);
  EXPECT_TRUE(group.Propose(next, "c").ok());
  EXPECT_EQ(group.overlapping_writes(), 0);
}

// The most that a leader sends without an acknowledgement: core.cc.
constexpr uint64_t kUnacknowledged = 512;

TEST(DriverStorageTest, AFollowerWhoseDiskHangsAppliesSoManyEntriesAndTheRestOnceItWorks) {
  TestGroup group(3);
  const uint64_t leader = group.WaitForLeader();
  const uint64_t follower = leader % 3 + 1;
  ASSERT_TRUE(group.Propose(leader, "a").ok());
  group.RunFor(1'000);
  group.SetDisk(follower, Disk::kHangs);
  for (uint64_t i = 0; i < kUnacknowledged + 100; ++i) {
    ASSERT_TRUE(group.Propose(leader, "b").ok());
  }
  group.RunFor(3'000);
  ASSERT_EQ(group.Leader(), leader);
  const uint64_t acknowledged = group.driver(follower).core_status().last_stored;
  EXPECT_EQ(group.driver(follower).view().applied_index, acknowledged + kUnacknowledged);
  group.SetDisk(follower, Disk::kWorks);
  EXPECT_TRUE(group.RunFor(
      5'000, [&] { return group.machine(follower).size() == group.machine(leader).size(); }));
}

TEST(DriverStorageTest, AFollowerWhoseDiskHangsGetsNothingFromTheNextLeaderOfALongLog) {
  TestGroup group(3);
  const uint64_t leader = group.WaitForLeader();
  const uint64_t follower = leader % 3 + 1;
  for (uint64_t i = 0; i < kUnacknowledged; ++i) ASSERT_TRUE(group.Propose(leader, "a").ok());
  group.RunFor(1'000);
  group.SetDisk(follower, Disk::kHangs);
  ASSERT_TRUE(group.Transfer(leader, 6 - leader - follower).ok());
  const uint64_t next = WaitForAnother(group, leader);
  ASSERT_EQ(next, 6 - leader - follower);
  ASSERT_TRUE(group.Propose(next, "b").ok());
  group.RunFor(3'000);
  ASSERT_EQ(group.driver(follower).view().leader_id, next);
  EXPECT_EQ(group.machine(follower).size(), kUnacknowledged) << "it cannot acknowledge the term";
  group.SetDisk(follower, Disk::kWorks);
  EXPECT_TRUE(
      group.RunFor(5'000, [&] { return group.machine(follower).size() == kUnacknowledged + 1; }));
}

TEST(DriverStorageTest, TheTimeOfApplyingIsNotTheDisks) {
  TestGroup group(1);
  ASSERT_EQ(group.WaitForLeader(), 1u);
  ASSERT_TRUE(group.Propose(1, "a").ok());
  group.machine(1).on_apply = [&group] { group.Spend(3'000); };
  group.Submit(1, "b");
  group.Submit(1, "c");  // its write begins, and then "b" is applied
  ASSERT_TRUE(group.RunFor(1'000, [&] { return group.machine(1).size() == 2; }));
  group.machine(1).on_apply = nullptr;
  group.driver(1).Tick();
  EXPECT_TRUE(group.driver(1).storage_problem().ok()) << group.driver(1).storage_problem();
  group.SetDisk(1, Disk::kHangs);
  EXPECT_FALSE(group.RunFor(1'900, [&] { return !group.driver(1).storage_problem().ok(); }));
  EXPECT_TRUE(group.RunFor(200, [&] { return !group.driver(1).storage_problem().ok(); }));
  group.SetDisk(1, Disk::kWorks);
  EXPECT_TRUE(group.Propose(1, "d").ok());
  EXPECT_EQ(group.machine(1).size(), 4u);
}

}  // namespace
}  // namespace faultline::raft
