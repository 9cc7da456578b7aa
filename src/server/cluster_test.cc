#include "server/cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <future>

#include "base/clock.h"
#include "base/log_testing.h"
#include "raft/test_dir.h"
#include "server/leader_tries.h"
#include "server/node_testing.h"

namespace faultline::server {
namespace {

using testing::HasSubstr;

constexpr uint64_t kOwn = 1, kOther = 2, kNew = 4;
constexpr uint64_t kNever = UINT64_MAX / 2;
constexpr const char* kNewAddress = "new:7401";

class OtherMembers final : public ClusterPeers {
 public:
  void Describe(const std::string&, const v1::DescribeRequest&, uint64_t,
                Done<v1::DescribeResponse> done) override {
    done(absl::UnavailableError("nobody is there"));
  }
  void Change(const std::string&, const v1::ChangeRequest& request, uint64_t,
              std::function<void(Status)> done) override {
    ++asked;
    cluster_id = request.cluster_id();
    done(answer);
  }
  void Shutdown() override {}

  Status answer;
  std::atomic<int> asked = 0;
  std::string cluster_id;  // of the last request
};

Status NotCaughtUp() {
  return MakeDetailedError(StatusCode::kFailedPrecondition, "NOT_CAUGHT_UP",
                           "node 4 has the log up to 0 of 9 and does not catch up");
}
Status ChangePending() {
  return MakeDetailedError(StatusCode::kFailedPrecondition, "CHANGE_PENDING",
                           "another change of membership is under way");
}
Status LeadershipLost() { return absl::AbortedError("the leader was lost; it may be made yet"); }
Status Refused(const char* reason, const std::map<std::string, std::string>& metadata = {}) {
  return MakeDetailedError(StatusCode::kFailedPrecondition, reason, "it is as it is", metadata);
}

class ChangingMembers : public ::testing::Test {
 protected:
  void SetUp() override {
    plane_.Attach(&node_);
    cluster_.Attach(&node_);
    See(raft::Role::kLeader, kOwn);
  }
  void TearDown() override {
    if (attached_) Detach();
    timers_.Stop();
  }
  void Detach() {
    attached_ = false;
    cluster_.Detach();
    plane_.Detach();
  }
  void Follow(uint64_t leader) { See(raft::Role::kFollower, leader); }
  void See(raft::Role role, uint64_t leader) {
    raft::View view;
    view.role = role;
    view.leader_id = leader;
    view.leader_address = "other:7401";
    node_.See(view);
  }
  static v1::ChangeRequest Request(v1::ChangeRequest::Kind kind) {
    v1::ChangeRequest request;
    request.set_kind(kind);
    request.set_node_id(kNew);
    if (kind == v1::ChangeRequest::KIND_ADD) request.set_address(kNewAddress);
    return request;
  }
  std::future<Status> Change(v1::ChangeRequest::Kind kind, uint64_t deadline_ns,
                             std::function<bool()> cancelled = nullptr) {
    auto end = std::make_shared<std::promise<Status>>();
    cluster_.Change(
        {{}, deadline_ns}, Request(kind), [end](const Status& status) { end->set_value(status); },
        std::move(cancelled));
    return end->get_future();
  }
  std::future<Status> Promote(uint64_t deadline_ns) {
    return Change(v1::ChangeRequest::KIND_PROMOTE, deadline_ns);
  }
  // What comes of a change that the leader answers like that, try by try; all tries are made.
  Status After(v1::ChangeRequest::Kind kind, const std::vector<Status>& answers) {
    size_t tries = 0;
    node_.OnChange([&](const raft::MemberChange&, const std::function<void(Status)>& done) {
      const size_t now = tries++;  // before `done`: the last one lets this function return
      done(now < answers.size() ? answers[now] : absl::InternalError("one try too many"));
    });
    const Status end = Change(kind, kNever).get();
    EXPECT_EQ(tries, answers.size()) << end;
    return end;
  }
  Status PromoteInVain(int looks = 2) {
    return SearchInVain(
        node_, [this](uint64_t deadline_ns) { return Promote(deadline_ns).get(); }, looks);
  }

  Strand timers_{"timers"};
  ControlPlane plane_{&timers_};
  SilentNode node_;
  OtherMembers others_;
  Cluster cluster_{kOwn, &plane_, &others_, &timers_};
  bool attached_ = true;
};

TEST_F(ChangingMembers, APromotionWaitsForAnotherChangeAndUntilTheMemberHasCaughtUp) {
  const Status promoted =
      After(v1::ChangeRequest::KIND_PROMOTE, {ChangePending(), NotCaughtUp(), absl::OkStatus()});
  EXPECT_TRUE(promoted.ok()) << promoted;
}

TEST_F(ChangingMembers, OtherChangesDoNotWaitForOneThatIsUnderWay) {
  EXPECT_EQ(ReasonOf(After(v1::ChangeRequest::KIND_ADD, {ChangePending()})), "CHANGE_PENDING");
}

TEST_F(ChangingMembers, APromotionWhoseLeaderWasLostIsMadeWhenTheNextOneHasAVoter) {
  EXPECT_EQ(After(v1::ChangeRequest::KIND_PROMOTE, {LeadershipLost(), Refused("MEMBER_IS_VOTER")}),
            absl::OkStatus());
  EXPECT_EQ(ReasonOf(After(v1::ChangeRequest::KIND_PROMOTE, {Refused("MEMBER_IS_VOTER")})),
            "MEMBER_IS_VOTER");
}

TEST_F(ChangingMembers, ARemovalWhoseLeaderWasLostIsMadeWhenTheNextOneHasNoSuchMember) {
  EXPECT_EQ(After(v1::ChangeRequest::KIND_REMOVE, {LeadershipLost(), Refused("MEMBER_NOT_FOUND")}),
            absl::OkStatus());
  EXPECT_EQ(ReasonOf(After(v1::ChangeRequest::KIND_REMOVE, {Refused("MEMBER_NOT_FOUND")})),
            "MEMBER_NOT_FOUND");
}

TEST_F(ChangingMembers, AnAdditionWhoseLeaderWasLostIsMadeWhenTheNextOneHasThatMemberThere) {
  const auto added = [this](const std::map<std::string, std::string>& told) {
    return After(v1::ChangeRequest::KIND_ADD, {LeadershipLost(), Refused("MEMBER_EXISTS", told)});
  };
  EXPECT_EQ(added({{"address", kNewAddress}}), absl::OkStatus());
  EXPECT_EQ(ReasonOf(added({{"address", "elsewhere:7401"}})), "MEMBER_EXISTS");
  EXPECT_EQ(ReasonOf(added({})), "MEMBER_EXISTS") << "by a leader of an earlier version";
}

TEST_F(ChangingMembers, AChangeWhoseLeaderWasLostWaitsForTheOneUnderWayWhichMayBeItself) {
  EXPECT_EQ(After(v1::ChangeRequest::KIND_REMOVE,
                  {LeadershipLost(), ChangePending(), Refused("MEMBER_NOT_FOUND")}),
            absl::OkStatus());
}

TEST_F(ChangingMembers, APromotionThatNobodyWaitsForIsNotTriedAgain) {
  std::atomic<bool> gone = false;
  int tries = 0;
  node_.OnChange([&](const raft::MemberChange&, const std::function<void(Status)>& done) {
    ++tries;
    gone = true;
    done(NotCaughtUp());
  });
  const Status end =
      Change(v1::ChangeRequest::KIND_PROMOTE, kNever, [&] { return gone.load(); }).get();
  EXPECT_EQ(end.code(), StatusCode::kCancelled) << end;
  EXPECT_EQ(tries, 1);
}

TEST_F(ChangingMembers, OfAPromotionThatIsUnderWayAtTheEndTheOutcomeIsNotKnown) {
  int tries = 0;
  node_.OnChange([&](const raft::MemberChange&, const std::function<void(Status)>& done) {
    done(++tries == 1 ? NotCaughtUp() : absl::DeadlineExceededError("time is up"));
  });
  const Status late = Promote(kNever).get();
  EXPECT_EQ(ReasonOf(late), "OUTCOME_UNKNOWN") << late;
  EXPECT_THAT(late.ToString(), HasSubstr("node 4 has the log up to 0 of 9"));
  EXPECT_EQ(tries, 2);
}

TEST_F(ChangingMembers, TriesOfAPromotionThatWaitsAreNotAllLogged) {
  node_.OnChange([&](const raft::MemberChange&, const std::function<void(Status)>& done) {
    done(NotCaughtUp());
  });
  const auto lines = LoggedLines([&] {
    for (int i = 0; i < 7; ++i) {
      cluster_.ChangeHere(Request(v1::ChangeRequest::KIND_PROMOTE), [](const Status&) {});
    }
  });
  const auto refusals = std::count_if(lines.begin(), lines.end(), [](const std::string& line) {
    return line.starts_with("W membership: refused: node 4 has the log");
  });
  EXPECT_EQ(refusals, 3) << "the 1st, the 2nd and the 4th";
}

TEST_F(ChangingMembers, ALeaderThatEndsHandsOverOnceTheChangeUnderWayIsOver) {
  int tries = 0;
  node_.OnTransfer([&](const std::function<void(Status)>& done) {
    if (++tries < 3) return done(ChangePending());
    Follow(kOther);
    done(absl::OkStatus());
  });
  cluster_.HandOver(std::chrono::minutes(1));
  EXPECT_EQ(tries, 3);
}

TEST_F(ChangingMembers, APromotionThatTakesTooLongSaysWhatItWaitsFor) {
  node_.OnChange([&](const raft::MemberChange&, const std::function<void(Status)>& done) {
    done(NotCaughtUp());
  });
  const Status late = PromoteInVain();
  EXPECT_EQ(ReasonOf(late), "NOT_CAUGHT_UP") << late;
  EXPECT_THAT(late.ToString(), HasSubstr("node 4 has the log up to 0 of 9"));
  EXPECT_THAT(late.ToString(), HasSubstr("it was waited for"));
}

TEST_F(ChangingMembers, WhatKeepsTheLeaderFromItIsSaidAtTheEnd) {
  Follow(kOther);
  others_.answer = MakeDetailedError(StatusCode::kUnavailable, "STORAGE_FAILED",
                                     "this node can store nothing at present: it is full");
  const Status full = PromoteInVain();
  EXPECT_EQ(ReasonOf(full), "STORAGE_FAILED") << full;
  EXPECT_THAT(full.ToString(), HasSubstr("node 2: this node can store nothing at present"));
  others_.answer = absl::UnavailableError("the connection broke");
  EXPECT_EQ(ReasonOf(PromoteInVain()), "OUTCOME_UNKNOWN");
  Follow(0);
  EXPECT_EQ(ReasonOf(PromoteInVain()), "NO_LEADER");
}

TEST_F(ChangingMembers, ANodeOfAnotherClusterChangesNothing) {
  control::v1::Command init;
  init.mutable_init_cluster()->set_cluster_id("ours");
  plane_.Apply(1, 1, init.SerializeAsString(), /*wanted=*/false);
  int changes = 0;
  node_.OnChange([&](const raft::MemberChange&, const std::function<void(Status)>& done) {
    ++changes;
    done(absl::OkStatus());
  });
  v1::ChangeRequest request = Request(v1::ChangeRequest::KIND_REMOVE);
  for (const std::string from : {"theirs", "ours", ""}) {
    request.set_cluster_id(from);
    Status told;
    cluster_.ChangeHere(request, [&](const Status& status) { told = status; });
    EXPECT_EQ(ReasonOf(told), from == "theirs" ? "OTHER_CLUSTER" : "") << told;
  }
  EXPECT_EQ(changes, 2);
  Follow(kOther);
  EXPECT_TRUE(Promote(kNever).get().ok());
  EXPECT_EQ(others_.cluster_id, "ours");
}

TEST(AttachingTheNode, MakesDurableWhoWasAdmittedBeforeTheMembersWereKnown) {
  const raft::TestDir dir;
  const std::string peers = dir.path() + "/peers";
  Strand timers("timers");
  ControlPlane plane(&timers);
  SilentNode node;
  OtherMembers others;
  PeerGate gate(dir.path(), raft::Identity{kOwn, 100, "ours", false});
  Cluster cluster(kOwn, &plane, &others, &timers);
  cluster.SetGate(&gate);
  EXPECT_TRUE(gate.Admit({.node_id = kOther, .cluster_id = "ours", .store_id = 200}).ok());
  EXPECT_FALSE(std::filesystem::exists(peers));
  node.OnInspect([&](const std::function<void()>& done) {
    gate.SetMembers({kOwn, kOther});
    done();
  });
  cluster.Attach(&node);
  EXPECT_TRUE(std::filesystem::exists(peers));
  cluster.Detach();
  timers.Stop();
}

TEST_F(ChangingMembers, TheSearchForALeaderEndsWithTheNode) {
  Follow(0);
  auto searching = Promote(kNever);
  Detach();
  EXPECT_EQ(ReasonOf(searching.get()), "NODE_ENDING");
  EXPECT_EQ(ReasonOf(Promote(kNever).get()), "NODE_ENDING");
}

TEST_F(ChangingMembers, AnEndingLeaderMakesNoChangeAndAnotherOneIsLookedFor) {
  cluster_.Detach();
  EXPECT_EQ(ReasonOf(Promote(kNever).get()), "NODE_ENDING") << "this node";
  Follow(kOther);
  others_.answer = NodeEnding(kOther);
  EXPECT_EQ(ReasonOf(PromoteInVain(/*looks=*/3)), "NO_LEADER");
  EXPECT_GT(others_.asked, 1);
}

}  // namespace
}  // namespace faultline::server
