// What each of libraft's defects does to a group when its filter (raft/filters.h) is switched off,
// and that the same runs are fine when it is on. Every run is a process of its own: a corrupted
// library may crash.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <functional>

#include "base/log.h"
#include "raft/sim_cluster.h"
#include "raft/test_group.h"
#include "sim/straight_votes.h"
#include "sim/switchable_filters.h"

namespace faultline::sim {
namespace {

namespace pb = ::raft::v1;

constexpr uint64_t kSecondNs = 1'000'000'000;

// kUnlike: a script did not reach the situation that it is about.
enum Outcome { kFine, kViolation, kStuck, kUnlike, kCrash };

struct Scenario {
  uint64_t nodes = 3;
  raft::SimFaults faults;
  uint64_t faulty_ns = 4 * kSecondNs;
};

Outcome Run(const Scenario& scenario, uint64_t seed) {
  raft::SimCluster cluster(seed, scenario.nodes, scenario.faults);
  cluster.RunWithFaults(scenario.faulty_ns);
  if (!cluster.violation().empty()) return kViolation;
  if (!cluster.Converges(20 * kSecondNs)) return kStuck;
  return cluster.violation().empty() ? kFine : kViolation;
}

struct Found {
  Outcome outcome = kFine;
  uint64_t seed = 0;
};

// Runs seeds from 1 to `most`, and `last`, in a child until one is not fine; none above `last`.
Found FirstBad(const std::function<Outcome(uint64_t)>& run, const FilterSwitches& switches,
               uint64_t last, uint64_t most = UINT64_MAX) {
  int ends[2];
  if (pipe(ends) != 0) return {};
  const pid_t child = fork();
  if (child == 0) {
    SilenceLog();
    Filters() = switches;
    fl_set_straight_votes(!switches.e);
    for (uint64_t seed = 1; seed <= last; seed = std::max(seed + 1, seed == most ? last : 0)) {
      // Said before the run, in case it does not come back.
      if (write(ends[1], &seed, sizeof seed) != sizeof seed) _exit(kCrash);
      const Outcome outcome = run(seed);
      if (outcome != kFine) _exit(outcome);
    }
    _exit(kFine);
  }
  close(ends[1]);
  Found found;
  uint64_t seed = 0;
  while (read(ends[0], &seed, sizeof seed) == sizeof seed) found.seed = seed;
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  found.outcome = WIFEXITED(status) ? static_cast<Outcome>(WEXITSTATUS(status)) : kCrash;
  return found;
}

const char* NameOf(Outcome outcome) {
  constexpr const char* kNames[] = {"fine", "a violation", "stuck", "another situation", "a crash"};
  return kNames[std::min<int>(outcome, kCrash)];
}

// Off: some seed goes wrong. On: that seed, and the first 300 of those before it, do not.
void ExpectFilterNeeded(const Scenario& scenario, bool FilterSwitches::* filter, uint64_t seeds) {
  const char* more = std::getenv("FAULTLINE_DEFECT_SEEDS");
  if (more != nullptr) seeds = std::strtoull(more, nullptr, 10);
  FilterSwitches off;
  off.*filter = false;
  const Found found = FirstBad([&](uint64_t seed) { return Run(scenario, seed); }, off, seeds);
  EXPECT_NE(found.outcome, kFine) << "no seed up to " << seeds << " needs the filter";
  std::printf("without the filter: %s at seed %lu\n", NameOf(found.outcome), found.seed);
  const Found with = FirstBad([&](uint64_t seed) { return Run(scenario, seed); }, FilterSwitches{},
                              found.seed, /*most=*/300);
  EXPECT_EQ(with.outcome, kFine) << NameOf(with.outcome) << " at seed " << with.seed;
}

// A script in which every step is given.
void ExpectFilterNeeded(const std::function<Outcome()>& script, bool FilterSwitches::* filter,
                        Outcome without) {
  FilterSwitches off;
  off.*filter = false;
  const auto run = [&](uint64_t) { return script(); };
  EXPECT_STREQ(NameOf(FirstBad(run, off, 1).outcome), NameOf(without));
  EXPECT_STREQ(NameOf(FirstBad(run, FilterSwitches{}, 1).outcome), NameOf(kFine));
}

// Messages are lost, doubled and late as never in practice.
Scenario Heavy(uint64_t nodes) {
  return {.nodes = nodes,
          .faults = {.loss = 0.1,
                     .duplicate = 0.2,
                     .late = 0.3,
                     .partitions = true,
                     .crashes = true,
                     .slow_disks = true}};
}

pb::PeerMessage From(uint64_t from, uint64_t to, uint64_t term) {
  pb::PeerMessage message;
  message.set_to_id(to);
  message.set_term(term);
  message.set_from_address(raft::TestGroup::AddressOf(from));
  return message;
}

// A member asks for pre-votes and is restarted. A promise from before, of the term that would have
// been, reaches it before it hears of its leader, who has been there all the time.
Outcome PromiseFromBeforeARestart() {
  raft::TestGroup group(3);
  const uint64_t leader = group.WaitForLeader();
  const uint64_t asks = leader % 3 + 1;
  const uint64_t promises = 6 - leader - asks;
  if (!group.Propose(leader, "x").ok()) return kUnlike;
  const uint64_t term = group.Term(leader);
  group.Isolate(asks);
  if (!group.RunFor(5'000, [&] { return group.driver(asks).core_status().in_pre_vote; })) {
    return kUnlike;
  }
  pb::PeerMessage promise = From(promises, asks, term + 1);
  promise.mutable_vote_result()->set_granted(true);
  promise.mutable_vote_result()->set_pre_vote(true);
  group.Stop(asks);
  group.Mend();
  group.Start(asks);
  group.driver(asks).Receive(promises, promise.SerializeAsString());
  group.RunFor(3'000);
  return group.Leader() == leader && group.Term(leader) == term ? kFine : kViolation;
}

TEST(DefectA, ALatePreVotePromiseRaisesTheTermOfAMemberThatAsksNoMoreAndDeposesTheLeader) {
  ExpectFilterNeeded(PromiseFromBeforeARestart, &FilterSwitches::a, kViolation);
}

// A follower misses an entry, and says so; then its rejection of the entry before arrives, from a
// time when it did not have that one either.
Outcome RejectionOfWhatMatches() {
  raft::TestGroup group(3);
  const uint64_t leader = group.WaitForLeader();
  const uint64_t follower = leader % 3 + 1;
  if (!group.Propose(leader, "both have it").ok()) return kUnlike;
  group.RunFor(200);
  const uint64_t last = group.driver(leader).core_status().last_index;
  if (group.driver(follower).core_status().last_stored != last) return kUnlike;
  group.Isolate(follower);
  if (!group.Propose(leader, "the follower misses it").ok()) return kUnlike;
  for (const uint64_t rejected : {last + 1, last}) {
    pb::PeerMessage rejection = From(follower, leader, group.Term(leader));
    rejection.mutable_append_result()->set_rejected(rejected);
    rejection.mutable_append_result()->set_last_index(rejected - 1);
    group.driver(leader).Receive(follower, rejection.SerializeAsString());
  }
  group.Mend();
  const bool caught_up =
      group.RunFor(20'000, [&] { return group.driver(follower).core_status().last_stored > last; });
  return caught_up ? kFine : kStuck;
}

TEST(DefectB, ALateRejectionStarvesAFollower) {
  ExpectFilterNeeded(RejectionOfWhatMatches, &FilterSwitches::b, kStuck);
}

TEST(DefectC, ALateAppendFromBeforeTheSnapshotCorruptsTheLog) {
  ExpectFilterNeeded(Heavy(3), &FilterSwitches::c, 400);
}

// Member a has the longer log, member b the later term: b would not be elected for its log, and a
// not for its term, of which it never hears.
Outcome LongerLogAgainstLaterTerm() {
  raft::TestGroup group(3);
  const uint64_t a = group.WaitForLeader();
  const uint64_t b = a % 3 + 1;
  const uint64_t c = b % 3 + 1;
  group.Isolate(b);
  if (!group.Propose(a, "b does not have it").ok()) return kUnlike;
  // Twice b is promised a vote (answers that were long on their way), and its requests are lost.
  for (int i = 0; i < 2; ++i) {
    group.RunFor(5'000, [&] { return group.driver(b).core_status().in_pre_vote; });
    pb::PeerMessage promise = From(c, b, group.Term(b) + 1);
    promise.mutable_vote_result()->set_granted(true);
    promise.mutable_vote_result()->set_pre_vote(true);
    group.driver(b).Receive(c, promise.SerializeAsString());
    group.RunFor(100);
  }
  group.Isolate(a);
  group.RunFor(3'000);
  if (group.Term(b) < group.Term(a) + 2) return kUnlike;
  group.Stop(c);
  group.Mend();
  return group.WaitForLeader(20'000) != 0 ? kFine : kStuck;
}

TEST(DefectD, PreVoteRejectionsOfTheRequestersTermLeaveAMajorityWithoutALeader) {
  ExpectFilterNeeded(LongerLogAgainstLaterTerm, &FilterSwitches::d, kStuck);
}

// A learner is promoted, which the other voter learns and the promoted does not; then the leader is
// gone. The two are a majority of the three.
Outcome PromotedAndNotToldYet() {
  raft::TestGroup group(2);
  const uint64_t leader = group.WaitForLeader();
  group.StartJoining(3);
  if (!group.Add(3).ok()) return kUnlike;
  group.RunFor(500);
  group.tamper = [](uint64_t, uint64_t to, pb::PeerMessage* message) {
    if (to != 3) return true;
    const auto& entries = message->append_entries().entries();
    return std::none_of(entries.begin(), entries.end(), [](const pb::Entry& entry) {
      return entry.type() == pb::ENTRY_TYPE_CONFIGURATION;
    });
  };
  if (!group.Promote(3).ok() || group.Members(3) != "1 2 (3)") return kUnlike;
  group.Stop(leader);
  group.tamper = nullptr;
  return group.WaitForLeader(20'000) == 3 - leader ? kFine : kStuck;
}

TEST(DefectE, AVoterThatItsOwnConfigurationCallsNoneIsMissingInEveryMajority) {
  ExpectFilterNeeded(PromotedAndNotToldYet, &FilterSwitches::e, kStuck);
}

// A follower gets a snapshot that was sent in an earlier term, by the member that leads again now.
// It did nothing with it: an answer of the present term that is no rejection would be counted.
Outcome AnswerToAnEarlierTerm() {
  raft::TestGroup group(3);
  const uint64_t leader = group.WaitForLeader();
  const uint64_t follower = leader % 3 + 1;
  if (!group.Propose(leader, "x").ok()) return kUnlike;
  group.RunFor(200);
  bool counted = false, answered = false;
  group.tamper = [&](uint64_t from, uint64_t, pb::PeerMessage* message) {
    if (from != follower || !message->has_append_result()) return true;
    answered = true;
    counted |= message->term() == group.Term(leader) && message->append_result().rejected() == 0;
    return true;
  };
  pb::PeerMessage late = From(leader, follower, group.Term(leader) - 1);
  auto* metadata = late.mutable_install_snapshot()->mutable_metadata();
  metadata->set_last_index(1);
  metadata->set_last_term(1);
  metadata->set_configuration_index(1);
  for (uint64_t id = 1; id <= 3; ++id) {
    auto* member = metadata->mutable_configuration()->add_members();
    member->set_id(id);
    member->set_address(raft::TestGroup::AddressOf(id));
  }
  group.driver(follower).Receive(leader, late.SerializeAsString());  // and answered in that step
  return counted ? kViolation : answered ? kFine : kUnlike;
}

TEST(DefectF, AnAnswerToAnEarlierTermCountsAsDurableWhatIsNot) {
  ExpectFilterNeeded(AnswerToAnEarlierTerm, &FilterSwitches::f, kViolation);
}

// A follower was away while a command and a change of members were committed, and gets both at
// once. Then it is to lead, and to make a change of its own.
Outcome ChangeBehindACommand() {
  raft::TestGroup group(3);
  const uint64_t leader = group.WaitForLeader();
  const uint64_t follower = leader % 3 + 1;
  group.Isolate(follower);
  if (!group.Propose(leader, "x").ok() || !group.Add(4).ok()) return kUnlike;
  bool together = false;
  group.tamper = [&](uint64_t, uint64_t to, pb::PeerMessage* message) {
    const auto& entries = message->append_entries().entries();
    together |= to == follower && entries.size() > 1 &&
                entries.rbegin()->type() == pb::ENTRY_TYPE_CONFIGURATION;
    return true;
  };
  group.Mend();
  group.RunFor(5'000, [&] { return group.Members(follower) == "1 2 3 (4)"; });
  group.RunFor(2'000);
  if (!together || !group.Transfer(group.Leader(), follower).ok()) return kUnlike;
  if (group.WaitForLeader() != follower) return kUnlike;
  return group.Add(5).ok() ? kFine : kViolation;
}

TEST(ConfigurationsInABatch, AreRecordedAtAWrongIndexSoThatTheirReceiverCanMakeNoChange) {
  ExpectFilterNeeded(ChangeBehindACommand, &FilterSwitches::split, kViolation);
}

}  // namespace
}  // namespace faultline::sim
