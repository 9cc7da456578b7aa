// Drops by the kernel's own reason.
#include <filesystem>
#include <fstream>
#include <sstream>

#include "bpf/probe.h"
#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

using testing::HasSubstr;

constexpr uint16_t kOpenPort = 7001;
constexpr uint16_t kClosedPort = 7009;
constexpr uint64_t kDatagrams = 5;

// Whether this process has a program on the tracepoint of dropped packets.
bool HoldsTracepoint() {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fdinfo", ignored)) {
    std::ostringstream text;
    text << std::ifstream(entry.path()).rdbuf();
    if (text.str().find("kfree_skb") != std::string::npos) return true;
  }
  return false;
}

class DropsTest : public DriverTest {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    const Status status = bpf::RequireFeature("drop_reasons");
    if (network_ && !status.ok()) GTEST_SKIP() << status.message();
    if (network_) open_ = std::make_unique<EchoServer>(*network_, kOpenPort);
  }
  // Returns when whatever was sent before has arrived; the neighbour is known from then on.
  void AwaitArrival(const std::string& address) {
    EXPECT_TRUE(Client(*network_, Protocol::kUdp, address, kOpenPort).RoundTrip().has_value());
  }
  // Datagrams of that number to a port of the server that nobody listens on. Not from one socket:
  // it would be told, and refuse to send the next one.
  void SendToNobody(const std::string& address) {
    for (uint64_t i = 0; i < kDatagrams; ++i) {
      Client(*network_, Protocol::kUdp, address, kClosedPort).Send("anybody?");
    }
  }
  void MakeDrops(const std::string& address) {
    AwaitArrival(address);
    SendToNobody(address);
    AwaitArrival(address);
  }
  // By reason.
  std::map<std::string, uint64_t> Drops() {
    const auto traffic = Sample().traffic();
    return {traffic.kernel_drops().begin(), traffic.kernel_drops().end()};
  }

  std::unique_ptr<EchoServer> open_;
};

TEST_F(DropsTest, AreCountedByTheKernelsReasonForWhoseTheyAre) {
  for (const char* address : {Network::kServer4, Network::kServer6}) {
    SetTarget(ServerTarget({kClosedPort}));
    (void)Sample();
    MakeDrops(address);
    EXPECT_EQ(Drops()["NO_SOCKET"], kDatagrams) << address;
    SetTarget(ServerTarget({kOpenPort}));
    (void)Sample();
    MakeDrops(address);
    EXPECT_TRUE(Drops().empty()) << "another port's";
    SetTarget(ClientTarget());
    (void)Sample();
    MakeDrops(address);
    EXPECT_EQ(Drops()["NO_SOCKET"], 0u) << "another namespace's";
  }
}

TEST_F(DropsTest, OnTheWayOutAreCountedToo) {
  AwaitArrival(Network::kServer4);
  // A queue that takes nothing.
  RunProgram({"tc", "-n", network_->client_netns(), "qdisc", "add", "dev", Network::kInterface,
              "root", "bfifo", "limit", "1"});
  SetTarget(ClientTarget({}));
  (void)Sample();
  SendToNobody(Network::kServer4);
  uint64_t of_queue = 0;
  for (const auto& [reason, count] : Drops()) {
    if (reason.starts_with("QDISC")) of_queue += count;
  }
  EXPECT_GE(of_queue, kDatagrams);
}

TEST_F(DropsTest, WhatAFaultLosesIsTheFaults) {
  SetTarget(ServerTarget({kClosedPort}));
  Arm(Loss(100, ::network::v1::DIRECTION_INGRESS));
  (void)Sample();
  MakeDrops(Network::kServer4);
  EXPECT_TRUE(Drops().empty());
  EXPECT_EQ(Counters().dropped(), kDatagrams);
}

TEST_F(DropsTest, TheTracepointIsFreeWhileThereIsNoTarget) {
  EXPECT_FALSE(HoldsTracepoint());
  SetTarget(ServerTarget());
  EXPECT_TRUE(HoldsTracepoint());
  ASSERT_TRUE(driver_->SetTargets({}).empty());
  EXPECT_FALSE(HoldsTracepoint());
}

}  // namespace
}  // namespace faultline::netns_test
