#include "server/catching_up.h"

#include <gtest/gtest.h>

namespace faultline::server {
namespace {

raft::View Follower(uint64_t leader_id) {
  raft::View view;
  view.leader_id = leader_id;
  view.applied_index = 45;
  view.commit_index = 50;
  return view;
}

TEST(CatchingUp, SaysHowFarANodeIsThatIsBehindOrHasNoProof) {
  const char* expected = "catching up with leader 2: applied 45 of at least 50";
  const Status behind =
      MakeDetailedError(StatusCode::kUnavailable, "NODE_BEHIND", "this node lags behind");
  EXPECT_EQ(WhyBehind(behind, 2, Follower(2)), expected);
  // What the leader has committed need not have come yet.
  const Status far_behind = MakeDetailedError(StatusCode::kUnavailable, "NODE_BEHIND",
                                              "this node lags behind", {{"revision", "93"}});
  EXPECT_EQ(WhyBehind(far_behind, 2, Follower(2)),
            "catching up with leader 2: applied 45 of at least 93");
  // Who had said so may be out of sight since.
  EXPECT_EQ(WhyBehind(far_behind, 2, Follower(0)),
            "catching up with leader 2: applied 45 of at least 93");
  const Status no_leader = MakeDetailedError(StatusCode::kUnavailable, "NO_LEADER", "no leader");
  EXPECT_EQ(WhyBehind(no_leader, 2, Follower(2)), expected);
  EXPECT_EQ(WhyBehind(MakeError(StatusCode::kDeadlineExceeded, "late"), 2, Follower(2)), expected);
}

TEST(CatchingUp, SaysWhatTheNodesOwnViewSays) {
  raft::View view = Follower(2);
  EXPECT_EQ(WhyNotReady(view), "the node has stopped, or not begun");
  view.role = raft::Role::kFollower;
  EXPECT_EQ(WhyNotReady(view), "");
  view.snapshot_problem = "cannot create 9.snapshot: no room";
  EXPECT_EQ(WhyNotReady(view), "") << "it answers all the same";
  view.leader_id = 0;
  EXPECT_EQ(WhyNotReady(view), "no leader is known");
  view.storage_problem = "input/output error";
  EXPECT_EQ(WhyNotReady(view), "the disk refuses: input/output error");
}

TEST(CatchingUp, SaysThatThereIsNoLeaderAndWhateverElseIsWrong) {
  EXPECT_EQ(WhyBehind(MakeError(StatusCode::kDeadlineExceeded, "late"), 2, Follower(0)),
            "no leader is known");
  EXPECT_EQ(WhyBehind(MakeError(StatusCode::kInternal, "broken"), 2, Follower(2)), "broken");
}

}  // namespace
}  // namespace faultline::server
