// Targets on one interface, each by a name of its own for the network it is in, as the containers
// of a pod are: each is followed by its own name.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "netns/cgroup.h"
#include "netns/follow_fixture.h"

namespace faultline::netns_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using Targets = std::vector<chaos::v1::Target>;

// A process in a cgroup of its own.
class Container {
 public:
  explicit Container(const std::string& suffix) : cgroup_(suffix) {}

  const std::string& why() const { return cgroup_.why(); }
  // Ends the process that there is, and starts another.
  void StartOn(const Network& network) {
    End();
    cgroup_.EnterInner();
    process_ =
        std::make_unique<Process>(Network::Inside(network.server_netns(), {"sleep", "3600"}));
    cgroup_.Leave();
  }
  void End() { process_.reset(); }
  chaos::v1::Target Named(const std::string& target_id) const {
    chaos::v1::Target target;
    target.set_target_id(target_id);
    target.set_interface(Network::kInterface);
    target.set_netns("cgroup:/" + cgroup_.name());
    return target;
  }

 private:
  const OwnCgroup cgroup_;
  std::unique_ptr<Process> process_;
};

class SharedPlaceTest : public FollowTest {
 protected:
  // Target "a", by which the interface was found, and target "t", which came later: its faults are
  // those of the tests.
  void SetUp() override {
    FollowTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    first_.emplace("-first");
    second_.emplace("-second");
    if (!first_->why().empty()) GTEST_SKIP() << first_->why();
    first_->StartOn(*network_);
    ASSERT_TRUE(AllComeUp({first_->Named("a")}));
    second_->StartOn(*network_);
    ASSERT_TRUE(AllComeUp(Both()));
  }
  Targets Both() const { return {first_->Named("a"), second_->Named("t")}; }
  // Whether all have a place once the processes are where they should be.
  bool AllComeUp(const Targets& targets) {
    return Eventually([&] {
      return std::ranges::all_of(driver_->SetTargets(targets),
                                 [](const Status& status) { return status.ok(); });
    });
  }
  // A look of the agent's after the first's process has ended.
  void LookWithoutTheFirst() {
    const auto statuses = driver_->SetTargets(Both());
    EXPECT_THAT(ToString(statuses[0].message()), HasSubstr("no process is in that cgroup"));
    EXPECT_TRUE(statuses[1].ok()) << statuses[1];
  }
  void RemoveDevices() {
    for (const std::string& name : network_->Links(network_->server_netns())) {
      // Of a veth pair one takes the other along.
      if (name.starts_with("fl-") && !name.ends_with("r")) Ip("link del " + name);
    }
  }

  std::optional<Container> first_, second_;
};

TEST_P(SharedPlaceTest, WhatIsLeftKeepsItsFaultWhenTheOtherEnds) {
  Arm(Latency(kDelayMs));
  EXPECT_TRUE(IsSlow());
  first_->End();
  LookWithoutTheFirst();
  EXPECT_THAT(driver_->Armed(), ElementsAre(Key()));
  EXPECT_GE(Counters().delayed(), 3u) << "they go on from where they were";
  EXPECT_TRUE(IsSlow());
  // What somebody takes away is made again where the name that is left leads.
  RemoveDevices();
  (void)Sample();
  EXPECT_TRUE(IsSlow());
  EXPECT_THAT(driver_->Armed(), ElementsAre(Key()));
}

TEST_P(SharedPlaceTest, WhatIsLeftIsArmedByItsOwnNameAlsoBeforeALook) {
  first_->End();
  Arm(Latency(kDelayMs));
  EXPECT_TRUE(IsSlow());
  LookWithoutTheFirst();
  EXPECT_THAT(driver_->Armed(), ElementsAre(Key()));
  // And by what the other's name means when it is back.
  first_->StartOn(*network_);
  EXPECT_TRUE(AllComeUp(Both()));
  EXPECT_THAT(driver_->Armed(), ElementsAre(Key()));
  EXPECT_TRUE(IsSlow());
}

TEST_P(SharedPlaceTest, WhatMovesIsFollowedWhileTheOtherStays) {
  const Network next;
  Arm(Latency(kDelayMs));
  EXPECT_TRUE(IsSlow());
  second_->StartOn(next);
  ASSERT_TRUE(AllComeUp(Both()));
  EXPECT_THAT(driver_->Armed(), testing::IsEmpty());
  EXPECT_TRUE(IsFast()) << "nothing stays on the other's interface";
  Arm(Latency(kDelayMs));
  EXPECT_TRUE(IsSlow(next));
  EXPECT_TRUE(IsFast());
}

TEST_P(SharedPlaceTest, TheGatewayOfWhatStaysIsProtectedWhenTheOtherMoves) {
  const auto lets_the_gateway_through = [this] {
    int exit_code = 0;
    const std::vector<std::string> ping = {"ping", "-n", "-q", "-c1", "-W1", Network::kServer4};
    RunAnyhow(Network::Inside(network_->client_netns(), ping), &exit_code);
    return exit_code == 0;
  };
  Ip(std::string("route add default via ") + Network::kClient4);
  const Network next;
  first_->StartOn(next);
  ASSERT_TRUE(AllComeUp(Both()));
  Arm(Loss(100, ::network::v1::DIRECTION_BOTH));
  // Routes of a hook that is there already are looked up every five seconds.
  EXPECT_TRUE(Eventually([&] { return AllComeUp(Both()) && lets_the_gateway_through(); }));
}

INSTANTIATE_TEST_SUITE_P(Modes, SharedPlaceTest,
                         testing::Values(bpf::AttachMode::kTcx, bpf::AttachMode::kClsact),
                         [](const auto& mode) {
                           return mode.param == bpf::AttachMode::kTcx ? "Tcx" : "Clsact";
                         });

}  // namespace
}  // namespace faultline::netns_test
