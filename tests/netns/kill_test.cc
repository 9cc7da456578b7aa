// A driver's process that is killed: the kernel alone puts everything right. Where it has no TCX
// the filters stay until the guardian takes them away; there the heartbeat's end makes them
// harmless.
#include "base/clock.h"
#include "bpf/probe.h"
#include "netns/every_kind.h"
#include "netns/forked_driver.h"
#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

using namespace std::chrono_literals;

constexpr uint64_t kHeartbeatNs = 5 * kNanosPerSecond;
constexpr int kTimes = 3;

class KillTest : public DriverTest, public testing::WithParamInterface<KindAtWork> {};

TEST_P(KillTest, NothingIsFaultyAndNoDeviceIsLeft) {
  driver_.reset();
  const auto before = network_->Links(network_->server_netns());
  ForkedDriver killed(undo_, [this] {
    MakeDriver();
    SetTarget(ServerTarget());
    ArmKind(GetParam().kind, GetParam().parameters);
    if (!bpf::HasFeature("tcx")) lease_->heartbeat_until_ns = BoottimeNowNs() + kHeartbeatNs;
  });
  EchoServer server(*network_, kEchoPort);
  EXPECT_FALSE(ComesThrough(*network_, GetParam(), 100ms));
  killed.Kill();
  EXPECT_TRUE(Eventually([this] { return ComesThrough(*network_, GetParam(), 1s); }));
  for (int i = 0; i < kTimes; ++i) EXPECT_TRUE(ComesThrough(*network_, GetParam()));
  EXPECT_EQ(network_->Links(network_->server_netns()), before);
  UndoAll(killed.journal());  // as the guardian does
}

INSTANTIATE_TEST_SUITE_P(Kinds, KillTest, testing::ValuesIn(EveryKind()), NameOf);

}  // namespace
}  // namespace faultline::netns_test
