// Controllers whose wall clocks are set forwards and back by hours while they lead and while they
// follow. Experiments last as long as was asked for, what is shown of them fits together, leases
// go on, nobody is elected for it, and who is gone is noticed and who comes back is found.
#include <gtest/gtest.h>

#include <csignal>
#include <thread>
#include <tuple>
#include <vector>

#include "tests/cluster/clock_fixture.h"
#include "tests/cluster/load.h"

namespace faultline::cluster {
namespace {

using namespace std::chrono_literals;

// So long after a step every wait that began before it would be over.
constexpr auto kBegun = 2s;

// Of the leader (true) or of a follower.
class ClockOf : public WallClocks, public ::testing::WithParamInterface<bool> {
 protected:
  int Node() { return GetParam() ? Leader() : Follower(); }
};

TEST_P(ClockOf, IsSetAndNoExperimentEndsEarlyOrLate) {
  ExpectAsIfNothingWere([this](std::chrono::hours ahead) { Set(Node(), ahead); });
}

TEST_P(ClockOf, IsSetAndNobodyIsElected) {
  // An election that a step causes comes each time; on a starved machine there may be one anyway.
  std::vector<size_t> before, after;
  EXPECT_TRUE(Eventually([&] {
    const int node = Node();
    const uint64_t term = View().term();
    before = Lapses();
    for (const auto ahead : {kFar, -kFar, 0h}) {
      Set(node, ahead);
      std::this_thread::sleep_for(1s);
    }
    if (!LeasesGoOn()) return false;
    after = Lapses();
    const auto view = View();
    return view.has_quorum() && view.term() == term;
  }));
  EXPECT_EQ(after, before) << "an agent has lost a lease";
}

INSTANTIATE_TEST_SUITE_P(Nodes, ClockOf, ::testing::Bool(),
                         [](const auto& test) { return test.param ? "TheLeader" : "AFollower"; });

// With a clock that is ahead, and then another one, from it, with a clock that is behind.
TEST_F(WallClocks, OfNodesThatTakeOverEndNoExperimentEarlyOrLate) {
  ExpectAsIfNothingWere([this](std::chrono::hours ahead) {
    const int node = Follower();
    ASSERT_NO_FATAL_FAILURE(Set(node, ahead));
    chaos::v1::TransferLeadershipRequest request;
    request.set_node_id(static_cast<uint64_t>(node) + 1);
    EXPECT_TRUE(Eventually([&] {
      std::ignore = client_->TransferLeadership(request);
      return Leader() == node;
    }));
  });
}

TEST_F(WallClocks, ThatAreSetBackKeepNoNodeWithALeaderThatStandsStill) {
  const int leader = Leader(), follower = (leader + 1) % kNodes;
  ASSERT_NO_FATAL_FAILURE(Set(follower, -kFar));
  std::this_thread::sleep_for(kBegun);
  cluster_->process(leader).Signal(SIGSTOP);
  const uint64_t stopped_ns = BoottimeNowNs();
  // By the authority that it has from this leader it grants leases for half of one.
  const uint64_t later_ns = stopped_ns + Nanos(kLease);
  EXPECT_TRUE(Eventually([&] { return agent(follower).last_grant_ns() > later_ns; }));
  cluster_->process(leader).Signal(SIGCONT);
}

TEST_F(WallClocks, ThatAreSetBackKeepNoLeaderFromANodeThatIsStartedAgain) {
  const int leader = Leader(), follower = (leader + 1) % kNodes;
  ASSERT_NO_FATAL_FAILURE(Set(leader, -kFar));
  std::this_thread::sleep_for(kBegun);
  cluster_->process(follower).Kill();
  std::this_thread::sleep_for(1s);  // in which the leader tries to reach it
  cluster_->Start(follower);
  // It knows everything that was acknowledged once the leader has reached it.
  EXPECT_TRUE(Eventually([&] { return cluster_->List(follower).ok(); }));
}

TEST_F(WallClocks, ThatAreSetBackKeepNoCommandAtANodeThatStandsStill) {
  const int node = Follower(), other = (node + 1) % kNodes;
  const Asked lasting = Start(kLong);
  const TempDir logs;
  WallClock own;
  std::vector<std::string> command = own.environment();
  command.insert(command.begin(), "/usr/bin/env");
  command.insert(command.end(), {FAULTLINE_BIN_DIR "/faultline", "watch", "--address",
                                 cluster_->api_address(node) + "," + cluster_->api_address(other)});
  const Process watch(command, logs.path() + "/log");
  const auto says = [&](const std::string& text) {
    return Eventually([&] { return watch.log().find(text) != std::string::npos; });
  };
  ASSERT_TRUE(says(lasting.id)) << watch.log();
  own.Set(-kFar);
  std::this_thread::sleep_for(kBegun);
  cluster_->process(node).Signal(SIGSTOP);
  EXPECT_TRUE(says("going on at " + cluster_->api_address(other))) << watch.log();
  cluster_->process(node).Signal(SIGCONT);
}

// Its report is not written yet: by this clock it would be.
TEST_F(WallClocks, ThatAreAheadKeepNoCommandFromWaitingForAReport) {
  const Asked asked = Start(kLong);
  ASSERT_TRUE(Eventually([&] { return IsActive(asked); })) << Look(asked.id).DebugString();
  Stop(asked);
  const TempDir logs;
  WallClock own;
  own.Set(kFar);
  std::vector<std::string> command = own.environment();
  command.insert(command.begin(), "/usr/bin/env");
  command.insert(command.end(), {FAULTLINE_BIN_DIR "/faultline", "report", asked.id, "--wait", "1h",
                                 "--timeout", "60s", "--address", cluster_->api_address(0)});
  Process report(command, logs.path() + "/log");
  EXPECT_EQ(report.Wait(), 0) << report.log();
}

TEST_F(WallClocks, ThatAreSetAgainAndAgainLeaveTheHistoryLinearizable) {
  Load load(cluster_->api_addresses());
  ASSERT_TRUE(load.IsReady());
  load.While([&] {
    for (int round = 0; round < 16; ++round) {
      const auto node = static_cast<int>(load.Draw(0, kNodes - 1));
      ASSERT_NO_FATAL_FAILURE(Set(node, std::chrono::hours(load.Draw(0, 10)) - kFar));
      load.Sleep(300, 700);
    }
  });
  if (HasFatalFailure()) return;
  load.Judge({0, 1, 2});
}

}  // namespace
}  // namespace faultline::cluster
