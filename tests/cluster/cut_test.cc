// Metrics of a real agent (all of it but the kernel) while the way between it and its node is cut:
// the agent and every subscriber go on at another node, and what they have counted is whole.
#include <gtest/gtest.h>

#include <iostream>

#include "tests/cluster/cluster.h"
#include "tests/cluster/counting_agent.h"
#include "tests/cluster/sites.h"
#include "tests/cluster/subscriber.h"

namespace faultline::cluster {
namespace {

enum class Cut {
  kCable,    // of the node: other nodes lose it too
  kAnswers,  // what it sends to the agent and to subscribers: it still hears them, and its peers
};

class AgentsLink : public ::testing::TestWithParam<Cut> {
 protected:
  void SetUp() override {
    if (const std::string why = Sites::EnterOwnNamespace(); !why.empty()) GTEST_SKIP() << why;
    agent_ = std::make_unique<CountingAgent>();  // first: it forks
    sites_ = std::make_unique<Sites>(Sites::Options{.may_slow = false});
    ASSERT_FALSE(HasFailure()) << "the sites could not be made";
    agent_->Start(sites_->api_addresses(), sites_->tls());
    client_ = ClientOf(fmt::format("{}", fmt::join(sites_->api_addresses(), ",")), sites_->tls());
    ASSERT_TRUE(Eventually([&] { return (node_ = AgentsNode()) != 0; }));
    auto request = LatencyOn("service:checkout");
    request.mutable_duration()->set_seconds(600);
    StatusOr<chaos::v1::StartExperimentResponse> started;
    // An agent that is just going to another node, as on a busy machine, takes no fault.
    ASSERT_TRUE(Eventually([&] { return (started = client_->StartExperiment(request)).ok(); }))
        << started.status();
    id_ = started->experiment_id();
    chaos::v1::GetExperimentRequest get;
    get.set_experiment_id(id_);
    ASSERT_TRUE(Eventually([&] {
      const auto got = client_->GetExperiment(get);
      return got.ok() && got->experiment().targets(0).phase() == chaos::v1::TARGET_PHASE_ACTIVE;
    }));
  }
  void TearDown() override {
    if (sites_ && HasFailure()) std::cerr << sites_->Logs();
  }

  // The one that it is connected to; 0: none.
  int AgentsNode() const {
    const auto listed = client_->ListAgents({});
    if (!listed.ok() || listed->agents().empty() || !listed->agents(0).connected()) return 0;
    return static_cast<int>(listed->agents(0).node_id());
  }

  std::unique_ptr<CountingAgent> agent_;
  std::unique_ptr<Sites> sites_;
  std::unique_ptr<client::Client> client_;
  int node_ = 0;  // the agent's at the beginning
  std::string id_;
};

TEST_P(AgentsLink, IsCutAndAllGoOnAtAnotherNodeWithoutAHoleThatIsNotMarked) {
  const Subscribers subscribers = SubscribeAtEach(sites_->api_addresses(), id_, sites_->tls());
  ExpectMore(subscribers, 5);
  if (GetParam() == Cut::kCable) {
    sites_->Unplug(node_);
  } else {
    sites_->Cut(node_, Sites::kTest);
  }
  ExpectMore(subscribers, 60);
  EXPECT_TRUE(Eventually([&] {
    const int now = AgentsNode();
    return now != 0 && now != node_;
  }));
  // What the node had not passed on may come now.
  sites_->Mend();
  ExpectMore(subscribers, 30);
  for (size_t i = 0; i < subscribers.size(); ++i) {
    SCOPED_TRACE(fmt::format("subscriber of node {}, the agent's was {}", i + 1, node_));
    subscribers[i]->End();
    ExpectWhole(subscribers[i]->arrivals());
  }
}

INSTANTIATE_TEST_SUITE_P(Which, AgentsLink, ::testing::Values(Cut::kCable, Cut::kAnswers),
                         [](const auto& test) {
                           return test.param == Cut::kCable ? "TheCable" : "TheAnswers";
                         });

}  // namespace
}  // namespace faultline::cluster
