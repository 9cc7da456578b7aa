#include "server/metric_demand.h"

#include <gtest/gtest.h>

#include "control/test_support.h"

namespace faultline::server {
namespace {

using Ids = std::set<std::string>;

MetricFilter OfExperiments(const Ids& ids) {
  MetricFilter filter;
  filter.experiment_ids = ids;
  return filter;
}

MetricFilter Observing(const std::string& target) {
  MetricFilter filter;
  filter.target = target;
  return filter;
}

class Demand : public ::testing::Test {
 protected:
  void SetUp() override {
    state.Register("a", 1, {"x"});
    state.Register("b", 1, {"x", "y"});
    state.Register("c", 1, {"y"});
  }
  AgentSet Agents() const {
    return demand.WithObserved(demand.OfExperiments(state.state), state.state.agents);
  }

  control::testing::Driver state;
  MetricDemand demand;
};

TEST_F(Demand, IsForTheAgentsOfTheNamedExperimentsTargets) {
  const std::string x = state.Create("service:x"), y = state.Create("service:y");
  EXPECT_TRUE(demand.empty());
  EXPECT_TRUE(Agents().empty());
  EXPECT_TRUE(demand.Add(OfExperiments({x})));
  EXPECT_EQ(Agents().ids, Ids({"a", "b"}));
  EXPECT_TRUE(demand.Add(OfExperiments({x, y, "exp-7777"})));
  EXPECT_EQ(Agents().ids, Ids({"a", "b", "c"}));
  EXPECT_TRUE(demand.Remove(OfExperiments({x, y, "exp-7777"})));
  EXPECT_EQ(Agents().ids, Ids({"a", "b"}));
}

TEST_F(Demand, ChangesWithTheFirstAndTheLastWhoWantsSomething) {
  EXPECT_TRUE(demand.Add(OfExperiments({"exp-1"})));
  EXPECT_FALSE(demand.Add(OfExperiments({"exp-1"})));
  EXPECT_TRUE(demand.Add(Observing("service:x")));
  EXPECT_FALSE(demand.Add(Observing("service:x")));
  EXPECT_FALSE(demand.Add(OfExperiments({})));
  EXPECT_FALSE(demand.Remove(Observing("service:x")));
  EXPECT_TRUE(demand.Remove(Observing("service:x")));
  EXPECT_FALSE(demand.Remove(OfExperiments({"exp-1"})));
  EXPECT_FALSE(demand.empty());
  EXPECT_TRUE(demand.Remove(OfExperiments({"exp-1"})));
  EXPECT_TRUE(demand.empty());
}

TEST_F(Demand, IsForTheAgentsThatHaveATargetWhichIsObserved) {
  demand.Add(Observing("service:y,version:v1"));
  EXPECT_EQ(Agents().ids, Ids({"b", "c"}));
  state.Register("d", 1, {"y"});
  EXPECT_EQ(Agents().ids, Ids({"b", "c", "d"}));
  demand.Add(Observing("nothing:known"));
  EXPECT_EQ(Agents().ids, Ids({"b", "c", "d"}));
}

TEST_F(Demand, IsForAllWhenSomeoneWantsAll) {
  MetricFilter all;
  all.all = true;
  demand.Add(Observing("service:y"));
  EXPECT_TRUE(demand.Add(all));
  EXPECT_TRUE(Agents().all);
  EXPECT_TRUE(demand.Remove(all));
  EXPECT_EQ(Agents().ids, Ids({"b", "c"}));
}

TEST_F(Demand, IsForAllWhenMoreAgentsAreWantedThanARequestNames) {
  constexpr size_t kIdBytes = 1'024;
  demand.Add(Observing("service:many"));
  for (size_t i = 0; i < MetricDemand::kMaxIdBytes / kIdBytes; ++i) {
    std::string id = fmt::format("{}-", i);
    id.resize(kIdBytes, 'x');
    state.Register(id, 1, {"many"});
  }
  EXPECT_FALSE(Agents().all);
  EXPECT_EQ(Agents().ids.size(), MetricDemand::kMaxIdBytes / kIdBytes);
  state.Register("one-more", 1, {"many"});
  EXPECT_EQ(Agents(), AgentSet{.all = true});
}

}  // namespace
}  // namespace faultline::server
