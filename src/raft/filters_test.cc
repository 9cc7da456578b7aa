#include "raft/filters.h"

#include <gtest/gtest.h>

namespace faultline::raft {
namespace {

CoreStatus StatusOf(Role role, uint64_t term) {
  CoreStatus status;
  status.role = role;
  status.term = term;
  status.last_index = 100;
  return status;
}

pb::PeerMessage VoteResult(uint64_t term, bool granted, bool pre_vote) {
  pb::PeerMessage message;
  message.set_term(term);
  message.mutable_vote_result()->set_granted(granted);
  message.mutable_vote_result()->set_pre_vote(pre_vote);
  return message;
}

pb::PeerMessage Rejection(uint64_t term, uint64_t rejected) {
  pb::PeerMessage message;
  message.set_term(term);
  message.mutable_append_result()->set_rejected(rejected);
  return message;
}

pb::Entry EntryOf(uint64_t term, pb::EntryType type = pb::ENTRY_TYPE_COMMAND) {
  pb::Entry entry;
  entry.set_term(term);
  entry.set_type(type);
  if (type == pb::ENTRY_TYPE_CONFIGURATION) {
    pb::Configuration configuration;
    configuration.add_members()->set_id(1);
    configuration.mutable_members(0)->set_address("a:1");
    entry.set_data(configuration.SerializeAsString());
  }
  return entry;
}

pb::PeerMessage Append(uint64_t term, uint64_t prev_index, uint64_t prev_term,
                       const std::vector<pb::Entry>& entries) {
  pb::PeerMessage message;
  message.set_term(term);
  auto* append = message.mutable_append_entries();
  append->set_prev_index(prev_index);
  append->set_prev_term(prev_term);
  for (const pb::Entry& entry : entries) *append->add_entries() = entry;
  return message;
}

TEST(FilterATest, AVoteResultReachesOnlyACandidateInThePhaseAndTermThatAsked) {
  CoreStatus candidate = StatusOf(Role::kCandidate, 5);
  EXPECT_EQ(ReasonToDrop(candidate, 0, VoteResult(5, true, false)), "");
  EXPECT_NE(ReasonToDrop(candidate, 0, VoteResult(4, true, false)), "");
  EXPECT_NE(ReasonToDrop(candidate, 0, VoteResult(6, true, true)), "");
  EXPECT_EQ(ReasonToDrop(candidate, 0, VoteResult(9, false, false)), "") << "tells a later term";
  candidate.in_pre_vote = true;
  EXPECT_EQ(ReasonToDrop(candidate, 0, VoteResult(6, true, true)), "");
  EXPECT_NE(ReasonToDrop(candidate, 0, VoteResult(5, true, true)), "");
  EXPECT_NE(ReasonToDrop(candidate, 0, VoteResult(5, true, false)), "");
  EXPECT_EQ(ReasonToDrop(candidate, 0, VoteResult(9, false, true)), "") << "tells a later term";
}

TEST(FilterATest, ALateVoteResultReachesNeitherALeaderNorAFollower) {
  for (const bool pre_vote : {false, true}) {
    EXPECT_NE(ReasonToDrop(StatusOf(Role::kLeader, 5), 0, VoteResult(5, true, pre_vote)), "");
    EXPECT_NE(ReasonToDrop(StatusOf(Role::kFollower, 5), 0, VoteResult(7, false, pre_vote)), "");
  }
}

TEST(FilterBTest, ARejectionAtOrBelowWhatMatchesIsDropped) {
  const CoreStatus leader = StatusOf(Role::kLeader, 5);
  EXPECT_NE(ReasonToDrop(leader, 20, Rejection(5, 20)), "");
  EXPECT_NE(ReasonToDrop(leader, 20, Rejection(5, 7)), "");
  EXPECT_EQ(ReasonToDrop(leader, 20, Rejection(5, 21)), "");
  EXPECT_EQ(ReasonToDrop(leader, 20, Rejection(6, 7)), "") << "of a later term: step down";
  EXPECT_EQ(ReasonToDrop(leader, 20, Rejection(5, 0)), "") << "accepted";
}

TEST(FilterBTest, ARejectionOfAnIndexThatTheLeaderNeverHadIsDropped) {
  EXPECT_NE(ReasonToDrop(StatusOf(Role::kLeader, 5), 20, Rejection(5, 101)), "");
}

TEST(FilterBTest, TheHintOfARejectionNeverLeadsBelowWhatMatches) {
  pb::PeerMessage message = Rejection(5, 30);
  message.mutable_append_result()->set_last_index(3);
  RaiseHint(20, message.mutable_append_result());
  EXPECT_EQ(message.append_result().last_index(), 20u);
  message.mutable_append_result()->set_last_index(25);
  RaiseHint(20, message.mutable_append_result());
  EXPECT_EQ(message.append_result().last_index(), 25u);
}

TEST(FilterCTest, AnAppendThatBeginsBelowTheSnapshotIsMadeToBeginThere) {
  CoreStatus status = StatusOf(Role::kFollower, 5);
  status.snapshot_index = 3;
  status.snapshot_term = 2;
  auto append = Append(5, 0, 0, {EntryOf(1), EntryOf(2), EntryOf(2), EntryOf(4), EntryOf(5)})
                    .append_entries();
  TrimBelowSnapshot(status, &append);
  EXPECT_EQ(append.prev_index(), 3u);
  EXPECT_EQ(append.prev_term(), 2u);
  ASSERT_EQ(append.entries_size(), 2);
  EXPECT_EQ(append.entries(0).term(), 4u);
}

TEST(FilterCTest, AnAppendWhollyBelowTheSnapshotBecomesAHeartbeatAtIt) {
  CoreStatus status = StatusOf(Role::kFollower, 5);
  status.snapshot_index = 30;
  status.snapshot_term = 4;
  auto append = Append(5, 1, 1, {EntryOf(1), EntryOf(2)}).append_entries();
  TrimBelowSnapshot(status, &append);
  EXPECT_EQ(append.prev_index(), 30u);
  EXPECT_EQ(append.prev_term(), 4u);
  EXPECT_EQ(append.entries_size(), 0);
}

TEST(FilterCTest, AnAppendAtOrAboveTheSnapshotIsLeftAlone) {
  CoreStatus status = StatusOf(Role::kFollower, 5);
  status.snapshot_index = 3;
  status.snapshot_term = 2;
  for (const uint64_t prev : {3u, 9u}) {
    auto append = Append(5, prev, 2, {EntryOf(4)}).append_entries();
    const std::string before = append.SerializeAsString();
    TrimBelowSnapshot(status, &append);
    EXPECT_EQ(append.SerializeAsString(), before);
  }
}

TEST(FilterDTest, ARejectedPreVoteTellsTheRealTerm) {
  pb::PeerMessage rejected = VoteResult(6, false, true);
  TellRealTerm(9, &rejected);
  EXPECT_EQ(rejected.term(), 9u);
  pb::PeerMessage granted = VoteResult(6, true, true);
  TellRealTerm(5, &granted);
  EXPECT_EQ(granted.term(), 6u);
  pb::PeerMessage vote = VoteResult(6, false, false);
  TellRealTerm(9, &vote);
  EXPECT_EQ(vote.term(), 6u);
}

TEST(FilterFTest, WhatComesFromAnEarlierTermIsAnsweredWithTheTermAndNothingAnyoneCouldCount) {
  const CoreStatus status = StatusOf(Role::kFollower, 7);
  pb::PeerMessage snapshot;
  snapshot.set_term(6);
  snapshot.mutable_install_snapshot();
  for (const pb::PeerMessage& message : {Append(6, 0, 0, {}), snapshot}) {
    pb::PeerMessage answer;
    ASSERT_TRUE(AnswerEarlierTerm(status, message, &answer));
    EXPECT_EQ(answer.term(), 7u);
    EXPECT_GT(answer.append_result().rejected(), 0u) << "not a success";
    // Whoever leads term 7 when it arrives drops it; who leads an earlier one learns the term.
    EXPECT_NE(ReasonToDrop(StatusOf(Role::kLeader, 7), 0, answer), "");
    EXPECT_EQ(ReasonToDrop(StatusOf(Role::kLeader, 6), 0, answer), "");
  }
}

TEST(FilterFTest, WhatComesFromThisTermOrALaterOneIsForTheCore) {
  pb::PeerMessage answer;
  EXPECT_FALSE(AnswerEarlierTerm(StatusOf(Role::kFollower, 7), Append(7, 0, 0, {}), &answer));
  EXPECT_FALSE(AnswerEarlierTerm(StatusOf(Role::kFollower, 7), Append(8, 0, 0, {}), &answer));
  EXPECT_FALSE(
      AnswerEarlierTerm(StatusOf(Role::kFollower, 7), VoteResult(6, true, false), &answer));
}

TEST(FilterTest, EachConfigurationIsTheFirstOfItsPiece) {
  const auto pieces =
      SplitAtConfigurations(Append(5, 10, 2,
                                   {EntryOf(2), EntryOf(3, pb::ENTRY_TYPE_CONFIGURATION),
                                    EntryOf(3), EntryOf(4, pb::ENTRY_TYPE_CONFIGURATION)})
                                .append_entries());
  ASSERT_EQ(pieces.size(), 3u);
  EXPECT_EQ(pieces[0].entries_size(), 1);
  EXPECT_EQ(pieces[1].prev_index(), 11u);
  EXPECT_EQ(pieces[1].prev_term(), 2u);
  EXPECT_EQ(pieces[1].entries_size(), 2);
  EXPECT_EQ(pieces[2].prev_index(), 13u);
  EXPECT_EQ(pieces[2].prev_term(), 3u);
  EXPECT_EQ(pieces[2].entries(0).type(), pb::ENTRY_TYPE_CONFIGURATION);
}

TEST(FilterTest, AnAppendWithoutEntriesStaysOnePiece) {
  const auto pieces = SplitAtConfigurations(Append(5, 10, 2, {}).append_entries());
  ASSERT_EQ(pieces.size(), 1u);
  EXPECT_EQ(pieces[0].prev_index(), 10u);
}

TEST(FilterTest, ASecondSnapshotWaitsUntilTheFirstIsInstalled) {
  CoreStatus status = StatusOf(Role::kFollower, 5);
  pb::PeerMessage message;
  message.set_term(5);
  message.mutable_install_snapshot();
  EXPECT_EQ(ReasonToDrop(status, 0, message), "");
  status.installing = true;
  EXPECT_NE(ReasonToDrop(status, 0, message), "");
}

TEST(FilterTest, ALeaderTakesNoEntriesFromAnotherLeaderOfItsTerm) {
  const CoreStatus leader = StatusOf(Role::kLeader, 5);
  EXPECT_NE(ReasonToDrop(leader, 0, Append(5, 0, 0, {})), "");
  EXPECT_EQ(ReasonToDrop(leader, 0, Append(6, 0, 0, {})), "");
}

TEST(FilterTest, WhatNoCorrectMemberSendsIsMalformed) {
  EXPECT_TRUE(CheckWellFormed(Append(5, 1, 1, {EntryOf(1), EntryOf(5)})).ok());
  EXPECT_FALSE(CheckWellFormed(Append(0, 0, 0, {})).ok()) << "no term";
  EXPECT_FALSE(CheckWellFormed(Append(5, 3, 0, {})).ok()) << "previous index without its term";
  EXPECT_FALSE(CheckWellFormed(Append(5, 1, 1, {EntryOf(0)})).ok()) << "an entry without term";
  EXPECT_FALSE(CheckWellFormed(Append(5, 1, 1, {EntryOf(3), EntryOf(2)})).ok()) << "goes back";
  EXPECT_FALSE(CheckWellFormed(Append(5, 1, 1, {EntryOf(6)})).ok()) << "from the future";
  EXPECT_FALSE(CheckWellFormed(Append(5, 1, 1, {EntryOf(2, pb::ENTRY_TYPE_UNSPECIFIED)})).ok());
  pb::Entry unreadable = EntryOf(2, pb::ENTRY_TYPE_CONFIGURATION);
  unreadable.set_data("\xff");
  EXPECT_FALSE(CheckWellFormed(Append(5, 1, 1, {unreadable})).ok());
  pb::PeerMessage empty;
  empty.set_term(1);
  EXPECT_FALSE(CheckWellFormed(empty).ok());
  pb::PeerMessage snapshot;
  snapshot.set_term(5);
  auto* metadata = snapshot.mutable_install_snapshot()->mutable_metadata();
  metadata->set_last_index(9);
  metadata->set_last_term(4);
  metadata->set_configuration_index(1);
  EXPECT_FALSE(CheckWellFormed(snapshot).ok()) << "no members";
  metadata->mutable_configuration()->add_members()->set_id(1);
  metadata->mutable_configuration()->mutable_members(0)->set_address("a:1");
  EXPECT_TRUE(CheckWellFormed(snapshot).ok());
  metadata->set_last_term(6);
  EXPECT_FALSE(CheckWellFormed(snapshot).ok()) << "from the future";
}

}  // namespace
}  // namespace faultline::raft
