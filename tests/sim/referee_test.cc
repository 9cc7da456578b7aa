// What the referee says of groups whose members do what they must not. Each history is right up to
// its last step.
#include "sim/referee.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "raft/driver.h"

namespace faultline::sim {
namespace {

using raft::MemberChange;
using testing::HasSubstr;
using Kind = MemberChange::Kind;
namespace pb = raft::pb;

// Members 1, 2 and 3, of whom 1 leads term 2; node 4 is none.
class RefereeTest : public testing::Test {
 protected:
  RefereeTest() {
    for (uint64_t node = 1; node <= 4; ++node) {
      disks_[node] = std::make_unique<Disk>(&world_, "disk-" + std::to_string(node));
      disks_[node]->on_write = [this, node](const raft::LogWrite& write) {
        referee_.OnWrite(node, write);
      };
      referee_.AddDisk(node, disks_[node].get());
    }
    for (uint64_t node = 1; node <= 3; ++node) {
      Write(node, first_);
      referee_.OnApply(node, 1, 1, "", "");
    }
    referee_.OnLeader(1, 2);
  }

  static pb::Configuration Members(std::vector<raft::Member> members) {
    pb::Configuration configuration;
    for (const raft::Member& member : members) {
      pb::Member* added = configuration.add_members();
      added->set_id(member.id);
      added->set_address(member.address);
      added->set_learner(member.learner);
    }
    return configuration;
  }
  void Write(uint64_t node, const raft::LogWrite& write) {
    EXPECT_TRUE(disks_.at(node)->Write(write).ok());
  }
  void Append(const std::vector<uint64_t>& nodes, uint64_t index, uint64_t term, pb::EntryType type,
              const std::string& data) {
    auto entry = std::make_shared<pb::Entry>();
    entry->set_term(term);
    entry->set_type(type);
    entry->set_data(data);
    raft::LogWrite write;
    write.first_index = index;
    write.entries = {entry};
    for (const uint64_t node : nodes) Write(node, write);
  }
  void Command(const std::vector<uint64_t>& nodes, uint64_t index, uint64_t term = 2) {
    Append(nodes, index, term, pb::ENTRY_TYPE_COMMAND, "x");
  }
  void Configure(const std::vector<uint64_t>& nodes, uint64_t index, const pb::Configuration& to,
                 uint64_t term = 2) {
    Append(nodes, index, term, pb::ENTRY_TYPE_CONFIGURATION, to.SerializeAsString());
  }
  // What stands there, a command or a configuration, is committed by now.
  void Apply(uint64_t node, uint64_t index, uint64_t term = 2, const std::string& command = "") {
    referee_.OnApply(node, index, term, command, "");
  }
  uint64_t Ask(Kind kind, uint64_t node, const std::string& address = "") {
    return referee_.OnChangeAsked(1, {kind, node, address});
  }
  // Node 4 is added, and knows it; that is entry 2.
  void AddFour() {
    Ask(Kind::kAdd, 4, "n4");
    Write(4, first_);
    Configure({1, 2, 3, 4}, 2, with_learner_);
    Apply(1, 2);
  }
  void ExpectViolation(const std::string& text) {
    EXPECT_THAT(referee_.violation(), HasSubstr(text));
  }

  const raft::LogWrite first_ = raft::InitialLog({{1, "n1"}, {2, "n2"}, {3, "n3"}});
  const pb::Configuration with_learner_ =
      Members({{1, "n1"}, {2, "n2"}, {3, "n3"}, {4, "n4", true}});
  const pb::Configuration with_voter_ = Members({{1, "n1"}, {2, "n2"}, {3, "n3"}, {4, "n4"}});
  const pb::Configuration without_three_ = Members({{1, "n1"}, {2, "n2"}});
  World world_{1};
  Referee referee_{&world_};
  std::map<uint64_t, std::unique_ptr<Disk>> disks_;
};

TEST_F(RefereeTest, SeesNothingWrongInChangesThatGoAsTheyMust) {
  AddFour();
  Ask(Kind::kPromote, 4);
  Configure({1, 2, 4}, 3, with_voter_);
  Apply(1, 3);
  // Before it is committed, or written anywhere, the removal lets two of the remaining three do.
  Command({1, 4}, 4);
  const uint64_t removal = Ask(Kind::kRemove, 3);
  referee_.OnMembers(1, {{1, "n1"}, {2, "n2"}, {4, "n4"}});
  Apply(1, 4, 2, "x");
  Configure({1, 4}, 5, Members({{1, "n1"}, {2, "n2"}, {4, "n4"}}));
  Apply(1, 5);
  referee_.OnChangeAnswered(1, removal, absl::OkStatus());
  EXPECT_TRUE(referee_.WasMember(3));
  EXPECT_FALSE(referee_.IsMember(3));
  Ask(Kind::kSetAddress, 4, "n4");
  Configure({1, 4}, 6, Members({{1, "n1"}, {2, "n2"}, {4, "n4"}}));
  referee_.OnChangeTold({Kind::kRemove, 3, ""}, 3);
  referee_.OnLeader(4, 3);
  EXPECT_EQ(referee_.violation(), "");
  EXPECT_EQ(world_.counts().at("members removed"), 1u);
}

TEST_F(RefereeTest, SeesTwoLeadersOfOneTerm) {
  referee_.OnLeader(2, 2);
  ExpectViolation("election safety");
}

TEST_F(RefereeTest, SeesALeaderThatHasOnlyTheLogAndNoVote) {
  AddFour();
  referee_.OnLeader(4, 3);
  ExpectViolation("node 4 leads term 3 without a vote");
}

TEST_F(RefereeTest, SeesALeaderOfTheOldMembersWithoutWhatTheNewOnesCommitted) {
  Ask(Kind::kRemove, 3);
  Configure({1, 2}, 2, without_three_);
  Apply(1, 2);
  referee_.OnLeader(3, 3);
  ExpectViolation("leader completeness");
}

TEST_F(RefereeTest, SeesThatARemovedMemberCountsForTheMajority) {
  Ask(Kind::kRemove, 3);
  Configure({1, 2, 3}, 2, without_three_);
  Apply(1, 2);
  Command({1, 3}, 3);
  Apply(1, 3, 2, "x");
  ExpectViolation("durable on 1 of 2 voters only");
}

TEST_F(RefereeTest, SeesThatALearnerCountsForTheMajority) {
  AddFour();
  Command({1, 4}, 3);
  Apply(1, 3, 2, "x");
  ExpectViolation("durable on 1 of 3 voters only");
}

TEST_F(RefereeTest, SeesThatTheMajorityIsOfMembersThatTheLeaderDoesNotHave) {
  AddFour();
  Ask(Kind::kPromote, 4);
  Configure({1, 2, 4}, 3, with_voter_);
  Apply(1, 3);
  Command({1, 2}, 4);
  Ask(Kind::kRemove, 4);
  Configure({2}, 5, Members({{1, "n1"}, {2, "n2"}, {3, "n3"}}));
  referee_.OnMembers(2, {{1, "n1"}, {2, "n2"}, {3, "n3"}});
  Apply(1, 4, 2, "x");
  ExpectViolation("durable on 2 of 4 voters only");
}

TEST_F(RefereeTest, SeesAChangeThatIsAnsweredAsMadeAndStandsInNoLog) {
  const uint64_t ask = Ask(Kind::kRemove, 90);
  referee_.OnChangeAnswered(1, ask, absl::OkStatus());
  ExpectViolation("calls a change of node 90 made, of which no configuration came");
}

TEST_F(RefereeTest, SeesAChangeThatNobodyAskedFor) {
  Ask(Kind::kRemove, 2);
  Configure({1}, 2, without_three_);
  ExpectViolation("was not asked for it, or has refused it");
}

TEST_F(RefereeTest, SeesAChangeThatAnotherNodeWasAskedFor) {
  referee_.OnChangeAsked(2, {Kind::kRemove, 3, ""});
  Configure({1}, 2, without_three_);
  ExpectViolation("was not asked for it, or has refused it");
}

TEST_F(RefereeTest, SeesAChangeThatWasRefused) {
  const uint64_t ask = Ask(Kind::kRemove, 3);
  referee_.OnChangeAnswered(1, ask, MakeError(StatusCode::kFailedPrecondition, "not now"));
  Configure({1}, 2, without_three_);
  ExpectViolation("was not asked for it, or has refused it");
}

TEST_F(RefereeTest, SeesAChangeThatIsCalledMadeAndIsNot) {
  const uint64_t ask = Ask(Kind::kRemove, 3);
  referee_.OnChangeAnswered(1, ask, MakeError(StatusCode::kAborted, "leadership lost"));
  Configure({1}, 2, without_three_);
  EXPECT_EQ(referee_.violation(), "") << "it may come yet";
  referee_.OnChangeTold({Kind::kRemove, 3, ""}, 1);
  ExpectViolation("a change of node 3 is called made, and is not");
}

TEST_F(RefereeTest, SeesTwoChangesInOneEntry) {
  Ask(Kind::kRemove, 3);
  Configure({1}, 2, Members({{1, "n1"}}));
  ExpectViolation("one change at a time: the members 1 2 3 at 1 become 1 at 2");
}

TEST_F(RefereeTest, SeesAMemberThatIsAddedAsAVoter) {
  Ask(Kind::kAdd, 4, "n4");
  Configure({1}, 2, with_voter_);
  ExpectViolation("one change at a time");
}

TEST_F(RefereeTest, SeesASecondChangeBeforeTheFirstIsCommitted) {
  Ask(Kind::kAdd, 4, "n4");
  Configure({1}, 2, with_learner_);
  Ask(Kind::kPromote, 4);
  Configure({1}, 3, with_voter_);
  ExpectViolation("one change at a time: node 1 has members 1 2 3 4 at 3 while those at 2");
}

TEST_F(RefereeTest, SeesTwoMembersAtOneAddress) {
  Ask(Kind::kSetAddress, 3, "n2");
  Configure({1}, 2, Members({{1, "n1"}, {2, "n2"}, {3, "n2"}}));
  ExpectViolation("one address twice");
}

}  // namespace
}  // namespace faultline::sim
