// Snapshots as the driver deals with them: those that it is offered over what its own log has,
// those that it cannot load, and its own that cannot be written.
#include <gtest/gtest.h>

#include <optional>
#include <utility>

#include "base/clock.h"
#include "raft/load_snapshot.h"
#include "raft/sim_disk.h"
#include "raft/test_group.h"
#include "raft/test_machine.h"

namespace faultline::raft {
namespace {

// Member 1 of a group whose others the test plays. What it writes is durable at once; snapshots
// and fetches end when the test says so.
class LoneMember final : public Driver::Host {
 public:
  // `more`: what its disk has beside the log that all begin with.
  explicit LoneMember(uint64_t size, const LogWrite& more = {})
      : driver(WithId1(), &machine, this) {
    std::vector<Member> members;
    for (uint64_t id = 1; id <= size; ++id) members.push_back({id, TestGroup::AddressOf(id)});
    disk_.Apply(InitialLog(members));
    disk_.Apply(more);
    const Status started = driver.Start(disk_.Load());
    EXPECT_TRUE(started.ok()) << started;
    Settle();
  }

  void Settle() {
    driver.Pump();
    while (under_way_) {
      disk_.Apply(*std::exchange(under_way_, std::nullopt));
      driver.WriteDone(absl::OkStatus());
      driver.Pump();
    }
  }
  void Wait(uint64_t duration_ms) {
    now_ns += duration_ms * kNanosPerMilli;
    driver.Tick();
    Settle();
  }
  // Whether it begins to fetch what `from`, the leader of `term`, offers.
  bool Offer(uint64_t from, uint64_t term, const Snapshot& snapshot) {
    pb::PeerMessage message;
    message.set_to_id(1);
    message.set_term(term);
    pb::InstallSnapshot* install = message.mutable_install_snapshot();
    *install->mutable_metadata() = snapshot.metadata;
    install->set_not_inline(1);
    install->set_size_bytes(snapshot.sum.size_bytes);
    install->set_crc32c(snapshot.sum.crc32c);
    fetched_from = 0;
    driver.Receive(from, message.SerializeAsString());
    Settle();
    return fetched_from == from;
  }
  void EndFetch(const SnapshotPtr& snapshot) {
    driver.FetchDone(Driver::Fetched{snapshot, *LoadSnapshot(*snapshot, machine)});
    Settle();
  }

  uint64_t NowNs() const override { return now_ns; }
  void StartWrite(LogWrite write) override { under_way_ = std::move(write); }
  void StartSnapshot(pb::SnapshotMetadata metadata,
                     std::shared_ptr<const StateImage> image) override {
    ++takes;
    taken = MakeSnapshot(metadata, *image);
  }
  void StartFetch(const Member& from, SnapshotPtr) override { fetched_from = from.id; }
  void Send(const Member&, std::string) override {}

  uint64_t now_ns = kNanosPerSecond;
  uint64_t takes = 0;  // snapshots that it began to write
  SnapshotPtr taken;   // the newest of them, as it would be
  uint64_t fetched_from = 0;
  TestMachine machine;
  Driver driver;

 private:
  static Options WithId1() {
    Options options;
    options.id = 1;
    options.seed = 7;
    return options;
  }

  SimDisk disk_;
  std::optional<LogWrite> under_way_;
};

// Of a group of three.
SnapshotPtr SnapshotAt(uint64_t index, uint64_t term) {
  pb::SnapshotMetadata metadata;
  metadata.set_last_index(index);
  metadata.set_last_term(term);
  metadata.set_configuration_index(1);
  for (uint64_t id = 1; id <= 3; ++id) {
    pb::Member* member = metadata.mutable_configuration()->add_members();
    member->set_id(id);
    member->set_address(TestGroup::AddressOf(id));
  }
  return MakeSnapshot(metadata, TextImage("state\n"));
}

TEST(AnOfferedSnapshot, TakesThePlaceOfEntriesOfALaterTerm) {
  LogWrite tail;
  tail.hard_state = HardState{2, 0};
  tail.first_index = 2;
  for (int i = 0; i < 11; ++i) {
    auto entry = std::make_shared<pb::Entry>();
    entry->set_term(2);
    entry->set_type(pb::ENTRY_TYPE_COMMAND);
    entry->set_data("never committed");
    tail.entries.push_back(std::move(entry));
  }
  LoneMember member(3, tail);
  const SnapshotPtr snapshot = SnapshotAt(10, 1);
  ASSERT_TRUE(member.Offer(2, 4, *snapshot)) << member.driver.failure();
  member.EndFetch(snapshot);
  member.Offer(2, 4, *snapshot);
  EXPECT_TRUE(member.driver.failure().ok()) << member.driver.failure();
  EXPECT_EQ(member.machine.index(), 10u);
  EXPECT_EQ(member.driver.log().first_index(), 11u);
  EXPECT_EQ(member.driver.core_status().last_index, 10u) << "what came after it is gone too";
}

// Cuts all links among these, and none to others.
void CutAmong(TestGroup& group, const std::vector<uint64_t>& ids) {
  for (const uint64_t from : ids) {
    for (const uint64_t to : ids) {
      if (from != to) group.Cut(from, to);
    }
  }
}

// How a log comes to have an entry of a later term than the one that is committed at its index: a
// appends what nobody gets; c does so in the next term; then a leads again, and commits its own.
TEST(AnOfferedSnapshot, BringsBackAMemberWhoseTailIsOfALaterTermThanWhatWasCommitted) {
  TestGroup group(5);
  const uint64_t a = group.WaitForLeader();
  ASSERT_NE(a, 0u);
  group.RunFor(500);
  const uint64_t first_term = group.Term(a);
  const uint64_t index = group.driver(a).core_status().last_index + 8;  // of the snapshot
  const auto append_ten = [&](uint64_t id) {
    for (int i = 0; i < 10; ++i) group.Submit(id, fmt::format("{} of {}", i, id));
    group.RunFor(50);
  };
  group.Isolate(a);
  append_ten(a);
  group.tamper = [](uint64_t, uint64_t, pb::PeerMessage* message) {
    return !message->has_append_entries();
  };
  uint64_t c = 0;
  ASSERT_TRUE(group.RunFor(20'000, [&] {
    for (uint64_t id = 1; id <= 5; ++id) {
      if (id != a && group.driver(id).core_status().role == Role::kLeader) c = id;
    }
    return c != 0;
  }));
  append_ten(c);
  group.tamper = nullptr;
  group.Mend();
  group.Isolate(c);
  ASSERT_EQ(group.driver(a).log().At(index)->term(), first_term);
  ASSERT_EQ(group.driver(c).log().At(index)->term(), group.Term(c));
  ASSERT_GT(group.Term(c), first_term);

  // Of the other three one takes a snapshot at the index: until then it hears of no later commit.
  std::vector<uint64_t> others;
  for (uint64_t id = 1; id <= 5; ++id) {
    if (id != a && id != c) others.push_back(id);
  }
  const uint64_t e = others[0];
  group.options().snapshot_every = index;
  group.options().snapshot_trailing = 0;
  group.Stop(e);
  group.Start(e);
  group.tamper = [&](uint64_t, uint64_t to, pb::PeerMessage* message) {
    if (to != e || !message->has_append_entries()) return true;
    pb::AppendEntries* append = message->mutable_append_entries();
    append->set_leader_commit(std::min<uint64_t>(append->leader_commit(), index));
    return true;
  };
  CutAmong(group, others);
  ASSERT_TRUE(
      group.RunFor(20'000, [&] { return group.Leader() == a && group.Term(a) > group.Term(c); }));
  ASSERT_TRUE(group.RunFor(20'000, [&] { return group.driver(e).snapshot() != nullptr; }));
  ASSERT_EQ(group.driver(e).snapshot()->metadata.last_index(), index);
  ASSERT_EQ(group.driver(e).snapshot()->metadata.last_term(), first_term);
  ASSERT_EQ(group.driver(e).log().first_index(), index + 1);

  group.tamper = nullptr;
  group.Mend();
  group.Isolate(c);
  group.RunFor(1'000);
  ASSERT_TRUE(group.Transfer(a, e).ok());
  ASSERT_TRUE(group.RunFor(20'000, [&] { return group.Leader() == e; }));
  group.Mend();
  const auto is_back = [&] { return group.machine(c).commands() == group.machine(e).commands(); };
  EXPECT_TRUE(group.RunFor(20'000, is_back)) << group.driver(c).failure();
  EXPECT_EQ(group.machine(c).size(), 10u);
  EXPECT_EQ(group.machine(c).restores(), 1);
}

TEST(AFetchedSnapshot, ThatThisProgramDoesNotKnowStopsTheMember) {
  LoneMember member(3);
  const SnapshotPtr snapshot = SnapshotAt(50, 3);
  ASSERT_TRUE(member.Offer(2, 5, *snapshot));
  member.driver.FetchDone(MakeDetailedError(StatusCode::kFailedPrecondition, "CLUSTER_VERSION",
                                            "the snapshot is of a cluster at version 99"));
  EXPECT_EQ(ReasonOf(member.driver.failure()), "CLUSTER_VERSION") << member.driver.failure();
  EXPECT_EQ(member.driver.view().role, Role::kUnavailable);
  EXPECT_FALSE(member.Offer(2, 5, *snapshot));
}

TEST(AFetchedSnapshot, ThatIsDamagedIsFetchedAgainFromThatMemberAfterAGrowingPause) {
  LoneMember member(3);
  const SnapshotPtr snapshot = SnapshotAt(50, 3);
  std::vector<uint64_t> fetched_at_s;
  for (uint64_t second = 0; second <= 200; ++second) {
    if (member.Offer(2, 5, *snapshot)) {
      fetched_at_s.push_back(second);
      member.driver.FetchDone(MakeError(StatusCode::kDataLoss, "damaged at offset 7"));
    }
    member.now_ns += kNanosPerSecond;
  }
  EXPECT_EQ(fetched_at_s, (std::vector<uint64_t>{0, 4, 12, 28, 60, 120, 180}));
  EXPECT_TRUE(member.driver.failure().ok()) << member.driver.failure();
  ASSERT_TRUE(member.Offer(3, 6, *snapshot)) << "another one's may be whole";
  member.EndFetch(snapshot);
  member.Offer(3, 6, *snapshot);
  EXPECT_EQ(member.machine.index(), 50u);
}

TEST(AFetchedSnapshot, ThatIsDamagedHoldsNoOtherSnapshotUp) {
  LoneMember member(3);
  const Status damage = MakeError(StatusCode::kDataLoss, "damaged at offset 7");
  for (const uint64_t index : {50, 60}) {
    const SnapshotPtr snapshot = SnapshotAt(index, 3);
    ASSERT_TRUE(member.Offer(2, 5, *snapshot)) << index;
    member.driver.FetchDone(damage);
    member.now_ns += 4 * kNanosPerSecond - 1;
    EXPECT_FALSE(member.Offer(2, 5, *snapshot)) << index;
    member.now_ns += 1;
    ASSERT_TRUE(member.Offer(2, 5, *snapshot)) << index;
    member.driver.FetchDone(damage);
  }
}

TEST(AFetchedSnapshot, ThatHasNoRoomIsFetchedAgainEverySecond) {
  LoneMember member(3);
  const SnapshotPtr snapshot = SnapshotAt(50, 3);
  std::vector<uint64_t> fetched_at_ms;
  for (uint64_t ms = 0; ms <= 3'500; ms += 50) {
    if (member.Offer(2, 5, *snapshot)) {
      fetched_at_ms.push_back(ms);
      member.driver.FetchDone(MakeError(StatusCode::kResourceExhausted, "no room"));
    }
    member.now_ns += 50 * kNanosPerMilli;
  }
  EXPECT_EQ(fetched_at_ms, (std::vector<uint64_t>{0, 1'000, 2'000, 3'000}));
}

TEST(ASnapshotThatCannotBeWritten, IsTriedAgainInFiveSecondsAndToldOfWhenThatGoesOn) {
  LoneMember member(1);
  for (int i = 0; i < 17; ++i) {
    member.driver.Propose(std::string(1 << 20, 'x'), [](const auto&) {});
    member.Settle();
  }
  ASSERT_EQ(member.takes, 1u);
  for (uint64_t failed = 1; failed <= 3; ++failed) {
    EXPECT_EQ(member.driver.view().snapshot_problem, "");
    member.driver.SnapshotDone(MakeError(StatusCode::kResourceExhausted, "no room"));
    member.Wait(4'900);
    EXPECT_EQ(member.takes, failed);
    member.Wait(200);
    ASSERT_EQ(member.takes, failed + 1);
  }
  EXPECT_EQ(member.driver.view().snapshot_problem, "no room");
  EXPECT_EQ(member.driver.view().role, Role::kLeader) << "its log takes all that comes";
  member.driver.SnapshotDone(member.taken);
  member.Wait(10'000);
  EXPECT_EQ(member.driver.view().snapshot_problem, "");
  EXPECT_NE(member.driver.snapshot(), nullptr);
  EXPECT_EQ(member.takes, 4u) << "no other is due";
}

}  // namespace
}  // namespace faultline::raft
