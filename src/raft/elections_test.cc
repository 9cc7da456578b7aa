// Elections over the driver: who disturbs whom, and timeouts that fit the distance.
#include <gtest/gtest.h>

#include "raft/test_group.h"

namespace faultline::raft {
namespace {

uint64_t HighestTerm(TestGroup& group, uint64_t size) {
  uint64_t term = 0;
  for (uint64_t id = 1; id <= size; ++id) term = std::max(term, group.Term(id));
  return term;
}

void SetDelays(TestGroup& group, uint64_t size, uint64_t one_way_us) {
  for (uint64_t from = 1; from <= size; ++from) {
    for (uint64_t to = 1; to <= size; ++to) group.SetDelay(from, to, one_way_us);
  }
}

TEST(ElectionTest, ANodeThatWasCutOffComesBackWithoutDisturbingAnybody) {
  TestGroup group(3);
  const uint64_t leader = group.WaitForLeader();
  const uint64_t term = group.Term(leader);
  const uint64_t alone = leader % 3 + 1;
  group.Isolate(alone);
  group.RunFor(30'000);
  EXPECT_EQ(group.Term(alone), term) << "its pre-votes reach nobody";
  group.Mend();
  group.RunFor(5'000);
  EXPECT_EQ(group.Leader(), leader);
  EXPECT_EQ(HighestTerm(group, 3), term);
}

TEST(ElectionTest, AFlappingNodeDoesNotRaiseTheTerm) {
  TestGroup group(5);
  const uint64_t leader = group.WaitForLeader();
  const uint64_t term = group.Term(leader);
  const uint64_t flapping = leader % 5 + 1;
  for (int i = 0; i < 50; ++i) {
    group.Isolate(flapping);
    group.RunFor(100 + static_cast<uint64_t>(i) * 37 % 900);
    group.Mend();
    group.RunFor(10 + static_cast<uint64_t>(i) * 13 % 300);
  }
  EXPECT_EQ(group.Leader(), leader);
  EXPECT_EQ(HighestTerm(group, 5), term);
}

TEST(ElectionTest, ANodeThatHearsNobodyButIsHeardDoesNotRaiseTheTerm) {
  TestGroup group(3);
  const uint64_t leader = group.WaitForLeader();
  const uint64_t term = group.Term(leader);
  const uint64_t deaf = leader % 3 + 1;
  for (uint64_t id = 1; id <= 3; ++id) group.Cut(id, deaf);
  group.RunFor(20'000);
  EXPECT_EQ(group.Leader(), leader);
  EXPECT_EQ(HighestTerm(group, 3), term);
}

TEST(ElectionTest, ACandidatePastItsPreVoteGoesBackToItWhenNobodyAnswers) {
  TestGroup group(3);
  const uint64_t leader = group.WaitForLeader();
  const uint64_t term = group.Term(leader);
  const uint64_t alone = leader % 3 + 1;
  // Told to take over, it is cut off at once: it stands for election without a pre-vote.
  group.tamper = [&](uint64_t, uint64_t, pb::PeerMessage* message) {
    if (message->has_vote_request()) group.Isolate(alone);
    return true;
  };
  ASSERT_FALSE(group.Transfer(leader, alone).ok());
  group.tamper = nullptr;
  EXPECT_EQ(group.Term(alone), term + 1);
  group.RunFor(30'000);
  EXPECT_EQ(group.Term(alone), term + 1) << "and not one more for each timeout";
}

TEST(ElectionTest, ALeaderWithoutAQuorumStepsDownWithinAnElectionTimeout) {
  TestGroup group(3);
  const uint64_t leader = group.WaitForLeader();
  group.RunFor(2'000);
  const GroupState before = group.driver(leader).group();
  const auto limit =
      static_cast<uint64_t>((before.election_timeout + 2 * before.heartbeat).count());
  group.Isolate(leader);
  const uint64_t cut_ms = group.now_ms();
  ASSERT_TRUE(
      group.RunFor(20'000, [&] { return group.driver(leader).view().role != Role::kLeader; }));
  EXPECT_LE(group.now_ms() - cut_ms, limit);
  const uint64_t next = group.WaitForLeader();
  EXPECT_NE(next, leader);
}

TEST(ElectionTest, ALeaderThatOnlySpeaksStepsDownToo) {
  TestGroup group(3);
  const uint64_t leader = group.WaitForLeader();
  for (uint64_t id = 1; id <= 3; ++id) group.Cut(id, leader);
  EXPECT_TRUE(
      group.RunFor(5'000, [&] { return group.driver(leader).view().role != Role::kLeader; }));
  EXPECT_TRUE(
      group.RunFor(20'000, [&] { return group.Leader() != 0 && group.Leader() != leader; }));
}

TEST(ElectionTest, DefaultsServeARackAndKeepItsFailOverShort) {
  TestGroup group(3, /*delay_us=*/50);
  const uint64_t leader = group.WaitForLeader();
  group.RunFor(10'000);
  const GroupState state = group.driver(leader).group();
  EXPECT_EQ(state.heartbeat, Options().heartbeat);
  EXPECT_EQ(state.election_timeout, Options().election_timeout);
}

TEST(ElectionTest, DefaultsServeThreeSites75MsApartForAnHourWithoutAnElection) {
  TestGroup group(3, /*delay_us=*/75'000);
  const uint64_t leader = group.WaitForLeader();
  ASSERT_NE(leader, 0u);
  group.RunFor(30'000);
  const uint64_t steady = group.Leader();
  const uint64_t term = group.Term(steady);
  group.RunFor(3'600'000);
  EXPECT_EQ(group.Leader(), steady);
  EXPECT_EQ(HighestTerm(group, 3), term);
  for (uint64_t id = 1; id <= 3; ++id) {
    const GroupState state = group.driver(id).group();
    EXPECT_GE(state.election_timeout.count(), 6 * 150) << "member " << id;
    EXPECT_LT(state.election_timeout.count(), 6 * 200) << "member " << id;
    if (id == steady) {
      EXPECT_GE(state.heartbeat.count(), 140);
    }
  }
}

TEST(ElectionTest, MembersFindALeaderEvenAtHalfASecondsDistance) {
  TestGroup group(3, /*delay_us=*/250'000);
  EXPECT_NE(group.WaitForLeader(60'000), 0u);
  group.RunFor(60'000);
  const uint64_t leader = group.Leader();
  const uint64_t term = group.Term(leader);
  group.RunFor(600'000);
  EXPECT_EQ(group.Leader(), leader);
  EXPECT_EQ(group.Term(leader), term);
}

TEST(ElectionTest, TimeoutsFollowTheDistanceBackDown) {
  TestGroup group(3, /*delay_us=*/75'000);
  const uint64_t leader = group.WaitForLeader();
  group.RunFor(30'000);
  SetDelays(group, 3, 100);
  group.RunFor(60'000);
  EXPECT_EQ(group.Leader(), leader);
  EXPECT_EQ(group.driver(leader).group().election_timeout, Options().election_timeout);
}

TEST(ElectionTest, AMemberThatStoodStillDoesNotSlowTheNextElection) {
  TestGroup group(3);
  const uint64_t leader = group.WaitForLeader();
  const uint64_t follower = leader % 3 + 1;
  group.RunFor(5'000);
  // All that it sends in this time comes at its end.
  for (uint64_t left_ms = 1'500; left_ms > 0; left_ms -= 10) {
    group.SetDelay(follower, leader, 1'000 * left_ms);
    group.RunFor(10);
  }
  group.SetDelay(follower, leader, 50);
  group.RunFor(100);
  EXPECT_EQ(group.driver(leader).group().election_timeout, Options().election_timeout);
}

TEST(ElectionTest, AFarLearnerDoesNotSlowTheVoters) {
  TestGroup group(3);
  const uint64_t leader = group.WaitForLeader();
  for (uint64_t id = 1; id <= 3; ++id) {
    group.SetDelay(id, 4, 150'000);
    group.SetDelay(4, id, 150'000);
  }
  group.StartJoining(4);
  ASSERT_TRUE(group.Add(4).ok());
  group.RunFor(30'000);
  EXPECT_EQ(group.driver(leader).group().election_timeout, Options().election_timeout);
  EXPECT_EQ(group.driver(4).group().election_timeout, Options().election_timeout);
  EXPECT_EQ(group.Leader(), leader);
}

TEST(RoundTripTest, TheMedianAndTheUpperQuartileOfTheNewestCount) {
  RoundTrip trip;
  EXPECT_EQ(trip.smoothed_ns(), 0u);
  uint64_t now_ns = 1'000;
  const auto take = [&](uint64_t duration_ns) {
    trip.Sample(now_ns, now_ns + duration_ns);
    now_ns += duration_ns;
  };
  for (uint64_t i = 1; i <= RoundTrip::kKept; ++i) take(100 * i);
  EXPECT_EQ(trip.smoothed_ns(), 800u);
  EXPECT_EQ(trip.bound_ns(), 1'200u);
  for (uint64_t i = 0; i < RoundTrip::kKept; ++i) take(50);
  EXPECT_EQ(trip.bound_ns(), 50u);
}

TEST(RoundTripTest, OneThatStoodStillDoesNotCount) {
  RoundTrip trip;
  uint64_t now_ns = 1'000'000;
  for (int i = 0; i < 5; ++i, now_ns += 500) trip.Sample(now_ns, now_ns + 500);
  // It then answers at once what it was sent meanwhile.
  for (uint64_t sent_ns = now_ns; sent_ns < now_ns + 900'000; sent_ns += 50'000) {
    trip.Sample(sent_ns, now_ns + 900'000);
  }
  EXPECT_EQ(trip.smoothed_ns(), 500u);
  EXPECT_EQ(trip.bound_ns(), 500u);
}

TEST(RoundTripTest, OldAndImpossibleAnswersAreLeftOut) {
  RoundTrip trip;
  trip.Sample(0, 6'000);
  EXPECT_EQ(trip.smoothed_ns(), 0u);
  trip.Sample(5'000, 6'000);
  trip.Sample(4'000, 90'000);
  trip.Sample(95'000, 90'000);
  trip.Sample(5'000, 90'000);
  EXPECT_EQ(trip.bound_ns(), 1'000u);
}

TEST(RoundTripTest, AfterARestartTheNextOneIsTheFirst) {
  RoundTrip trip;
  trip.Sample(1'000, 50'000);
  trip.Restart();
  EXPECT_EQ(trip.smoothed_ns(), 49'000u);
  trip.Sample(60'000, 61'000);
  EXPECT_EQ(trip.smoothed_ns(), 1'000u);
  EXPECT_EQ(trip.bound_ns(), 1'000u);
}

TEST(RoundTripTest, TimeoutsAreAtLeastAsConfiguredAndAtMostTenSeconds) {
  const Timeouts configured{50, 300};
  EXPECT_EQ(Adapt(configured, 0, 0), configured);
  EXPECT_EQ(Adapt(configured, 80, 100), configured);
  EXPECT_EQ(Adapt(configured, 150'000, 160'000), (Timeouts{150, 960}));
  EXPECT_EQ(Adapt(configured, 60'000'000, 60'000'000).election_ms, 10'000u);
  EXPECT_LE(Adapt(configured, 60'000'000, 60'000'000).heartbeat_ms, 2'000u);
  EXPECT_TRUE(WorthChanging(configured, {50, 360}));
  EXPECT_FALSE(WorthChanging(configured, {50, 310}));
}

}  // namespace
}  // namespace faultline::raft
