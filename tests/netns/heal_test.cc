// Every kind of fault ends in every way that one can: by a stop, at its deadline, when a lease has
// run out, and with its interface. kill_test.cc has the agent's death.
#include <functional>
#include <utility>

#include "base/clock.h"
#include "faults/registry.h"
#include "netns/every_kind.h"
#include "netns/leftovers.h"
#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

using namespace std::chrono_literals;

// How long an answer that should not come is waited for. One that should come has kPatience.
constexpr auto kLost = 100ms;
constexpr int kTimes = 3;

class HealTest : public DriverTest, public testing::WithParamInterface<KindAtWork> {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    if (network_) server_ = std::make_unique<EchoServer>(*network_, kEchoPort);
  }

  void ArmAndSeeIt() {
    ArmKind(GetParam().kind, GetParam().parameters);
    EXPECT_FALSE(ComesThrough(*network_, GetParam(), kLost));
    EXPECT_TRUE(Eventually([this] { return Counters().matched() > 0; }));
  }
  void ExpectWhole() const {
    for (int i = 0; i < kTimes; ++i) EXPECT_TRUE(ComesThrough(*network_, GetParam()));
  }

  // To be armed once more with the same parameters moves a fault's deadline.
  void LetItExpire() {
    const auto config = faults::ParseParameters(GetParam().kind, GetParam().parameters);
    ASSERT_TRUE(config.ok()) << config.status();
    faults::ArmRequest request;
    request.key = Key();
    request.config = *config;
    request.seed = 7;  // ArmKind's
    request.deadline_boottime_ns = BoottimeNowNs() + kNanosPerSecond / 4;
    const Status armed = driver_->Arm(request);
    ASSERT_TRUE(armed.ok()) << armed;
    EXPECT_TRUE(Eventually([this] { return ComesThrough(*network_, GetParam(), 1s); }));
  }
  // The interface goes, and another one of that name comes in its place.
  void ReplaceInterface() {
    const std::string netns = network_->server_netns();
    RunProgram({"ip", "-n", netns, "link", "del", Network::kInterface});
    EXPECT_THAT(driver_->Armed(), testing::IsEmpty());
    EXPECT_TRUE(LookUntil(ServerTarget(), [&] { return FaultlineIn(netns).empty(); }));
    network_->RestartServer();
    server_ = std::make_unique<EchoServer>(*network_, kEchoPort);
    SetTarget(ServerTarget());
  }

  std::unique_ptr<EchoServer> server_;
};

TEST_P(HealTest, TrafficIsWhatItWasHoweverTheFaultEnds) {
  SetTarget(ServerTarget());
  ExpectWhole();
  const std::pair<const char*, std::function<void()>> ends[] = {
      {"stop", [this] { Disarm(); }},
      {"deadline", [this] { LetItExpire(); }},
      {"the agent's heartbeat", [this] { lease_->heartbeat_until_ns = BoottimeNowNs(); }},
      {"the control plane's lease", [this] { lease_->control_until_ns = BoottimeNowNs(); }},
      {"its interface goes", [this] { ReplaceInterface(); }}};
  for (const auto& [name, end] : ends) {
    SCOPED_TRACE(name);
    ArmAndSeeIt();
    end();
    ExpectWhole();
    Disarm();
    HoldLeases();
    (void)Sample();
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, HealTest, testing::ValuesIn(EveryKind()), NameOf);

TEST(EveryKind, HasAllThatTheGroupHas) {
  std::vector<std::string> known, here;
  for (const auto& info : faults::DescribeAll()) {
    if (faults::GroupOf(info.name()) == "network") known.push_back(info.name());
  }
  for (const KindAtWork& each : EveryKind()) here.emplace_back(each.kind);
  EXPECT_THAT(here, testing::UnorderedElementsAreArray(known));
}

}  // namespace
}  // namespace faultline::netns_test
