// For tests of targets that move: the driver with either kind of attachment, looked after as by the
// agent.
#pragma once

#include <string>

#include "bpf/netns.h"
#include "bpf/probe.h"
#include "netns/leftovers.h"
#include "netns/traffic.h"

namespace faultline::netns_test {

class FollowTest : public DriverTest, public testing::WithParamInterface<bpf::AttachMode> {
 protected:
  static constexpr uint16_t kPort = 7001;
  static constexpr double kDelayMs = 300;

  void SetUp() override {
    DriverTest::SetUp();
    if (!network_) return;
    if (const Status has = bpf::RequireFeature("tcx");
        GetParam() == bpf::AttachMode::kTcx && !has.ok()) {
      GTEST_SKIP() << ToString(has.message());
    }
    MakeDriver({.attach_mode = GetParam()});
  }
  // A look of the agent's, which arms what has gone again if that is possible. Result: what the
  // target's state is, in words; empty: it is there.
  std::string Look(const chaos::v1::Target& target) {
    const Status status = driver_->SetTargets({target})[0];
    if (driver_->Armed().empty()) {
      why_gone_ = driver_->WhyGone(Key());
      (void)TryArm(Latency(kDelayMs));
    }
    return ToString(status.message());
  }
  // Whether the server's answers come, and all come late: each of a few, since what is not delayed
  // may be late now and then.
  static bool IsSlow(const Network& network) {
    EchoServer server(network, kPort);
    Client client(network, Protocol::kUdp, Network::kServer4, kPort);
    for (int i = 0; i < 3; ++i) {
      const auto time = client.RoundTrip();
      EXPECT_TRUE(time) << "no answer";
      if (!time || time->count() < kDelayMs) return false;
    }
    return true;
  }
  // Whether they come in time.
  static bool IsFast(const Network& network) {
    EchoServer server(network, kPort);
    return Client(network, Protocol::kUdp, Network::kServer4, kPort).AnswersBefore(kDelayMs);
  }
  bool IsSlow() const { return IsSlow(*network_); }
  bool IsFast() const { return IsFast(*network_); }
  void Start(const chaos::v1::Target& target) {
    SetTarget(target);
    Arm(Latency(kDelayMs));
  }
  void Ip(const std::string& words) { RunBatch({"ip", "-n", network_->server_netns()}, {words}); }

  // A lane's device is taken away beside everything else.
  bool LeavesNothing(const chaos::v1::Target& target) {
    return LookUntil(target, [&] { return FaultlineIn(network_->server_netns()).empty(); });
  }

  std::string why_gone_;  // by the last look, the fault
};

}  // namespace faultline::netns_test
