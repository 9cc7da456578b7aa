// Controllers whose wall clocks are set forwards and back by hours while they lead and while they
// follow. Experiments last as long as was asked for, what is shown of them fits together, leases
// go on, and nobody is elected for it.
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

struct Step {
  const char* name;
  bool leads;
  std::chrono::hours ahead;
};

class ClockOf : public WallClocks, public ::testing::WithParamInterface<Step> {
 protected:
  int Node() { return GetParam().leads ? Leader() : Follower(); }
};

TEST_P(ClockOf, IsSetAndNoExperimentEndsEarlyOrLate) {
  ExpectAsIfNothingWere(Node(), GetParam().ahead);
}

TEST_P(ClockOf, IsSetAndNobodyIsElected) {
  // An election that a step causes comes each time; on a starved machine there may be one anyway.
  std::vector<size_t> before, after;
  EXPECT_TRUE(Eventually([&] {
    const int node = Node();
    const uint64_t term = View().term();
    before = Lapses();
    for (const auto ahead : {GetParam().ahead, -GetParam().ahead, 0h}) {
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

class FollowersClock : public ClockOf {};

TEST_P(FollowersClock, IsSetAndItsNodeTakesOverAndNoExperimentEndsEarlyOrLate) {
  const int node = Node();
  ExpectAsIfNothingWere(node, GetParam().ahead, [&] {
    chaos::v1::TransferLeadershipRequest request;
    request.set_node_id(static_cast<uint64_t>(node) + 1);
    EXPECT_TRUE(Eventually([&] {
      std::ignore = client_->TransferLeadership(request);
      return Leader() == node;
    }));
  });
}

constexpr Step kLeadersSteps[] = {{"TheLeaderForwards", true, kFar},
                                  {"TheLeaderBack", true, -kFar}};
constexpr Step kFollowersSteps[] = {{"AFollowerForwards", false, kFar},
                                    {"AFollowerBack", false, -kFar}};
std::string NameOf(const ::testing::TestParamInfo<Step>& test) { return test.param.name; }

INSTANTIATE_TEST_SUITE_P(Leading, ClockOf, ::testing::ValuesIn(kLeadersSteps), NameOf);
INSTANTIATE_TEST_SUITE_P(Following, ClockOf, ::testing::ValuesIn(kFollowersSteps), NameOf);
INSTANTIATE_TEST_SUITE_P(TakingOver, FollowersClock, ::testing::ValuesIn(kFollowersSteps), NameOf);

TEST_F(WallClocks, ThatAreSetBackAreToldOfByTheirNode) {
  const int node = Follower();
  ASSERT_NO_FATAL_FAILURE(Set(node, -kFar));
  EXPECT_TRUE(Eventually([&] {
    return cluster_->process(node).log().find("Unix clock was set back by 18000 s") !=
           std::string::npos;
  }));
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
