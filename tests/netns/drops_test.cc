// Drops by the kernel's own reason.
#include <netinet/in.h>
#include <sys/socket.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/traffic.h"
#include "bpf/probe.h"
#include "netns/cgroup.h"
#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

using testing::HasSubstr;

constexpr uint16_t kOpenPort = 7001;
constexpr uint16_t kFreePort = 7002;  // for a socket of a test's own
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
    AwaitQueues();
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

TEST_F(DropsTest, InsideTcpAreCountedToo) {
  Acceptor acceptor(*network_, kFreePort);
  for (const char* address : {Network::kServer4, Network::kServer6}) {
    SetTarget(ServerTarget({kFreePort}));
    Client client(*network_, Protocol::kTcp, address, kFreePort);
    const bpf::UniqueFd server = acceptor.Accept();
    // Each segment comes twice, and TCP throws the second one away once it has found the socket.
    ArmKind("NETWORK_DUPLICATE", {{"duplicate_percent", "100"}, {"direction", "ingress"}});
    (void)Sample();
    for (int i = 0; i < 3; ++i) {
      client.Send("x");
      EXPECT_EQ(ErrorOf(server.get()), 0);
    }
    chaos::v1::TrafficDetail traffic;
    const auto old = [&] { return (*traffic.mutable_kernel_drops())["TCP_OLD_DATA"]; };
    for (int i = 0; i < 20 && old() < 3; ++i) MergeTraffic(SettledTraffic(), &traffic);
    EXPECT_GE(old(), 3u) << traffic.DebugString();
    ASSERT_GT(traffic.events_size(), 0);
    EXPECT_EQ(traffic.events(0).local_port(), kFreePort);
    Disarm();
  }
}

TEST_F(DropsTest, ByThePacketFilterAreCountedOnTheWayInAndOut) {
  int exit_code = 0;
  const auto filter = [&](const std::string& netns, const std::string& hook) {
    const std::string rules = fmt::format(
        "table inet t {{ chain c {{ type filter hook {} priority 0; udp dport {} drop; }}; }}",
        hook, kFreePort);
    RunAnyhow(Network::Inside(netns, {"nft", rules}), &exit_code);
    return exit_code == 0;
  };
  if (!filter(network_->server_netns(), "input")) GTEST_SKIP() << "nft does not work here";
  const Sink sink(*network_, kFreePort);
  Client client(*network_, Protocol::kUdp, Network::kServer4, kFreePort);
  SetTarget(ServerTarget({kFreePort}));
  (void)Sample();
  for (uint64_t i = 0; i < kDatagrams; ++i) client.Send("anybody?");
  EXPECT_EQ(Drops()["NETFILTER_DROP"], kDatagrams);
  SetTarget(ClientTarget());
  (void)Sample();
  client.Send("anybody?");
  // IPv6 has things of its own to drop now and then.
  EXPECT_EQ(Drops()["NETFILTER_DROP"], 0u) << "another namespace's";
  ASSERT_TRUE(filter(network_->client_netns(), "output"));
  // The sender is told; the packet is dropped all the same.
  EXPECT_EQ(send(client.fd(), "anybody?", 8, 0), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(Drops()["NETFILTER_DROP"], 1u);
}

TEST_F(DropsTest, OfACgroupAreItsOwnSocketsOnly) {
  const OwnCgroup cgroup;
  if (!cgroup.why().empty()) GTEST_SKIP() << cgroup.why();
  SendToNobody(Network::kServer4);  // the neighbour is known from here on
  RunProgram({"tc", "-n", network_->client_netns(), "qdisc", "add", "dev", Network::kInterface,
              "root", "bfifo", "limit", "1"});
  chaos::v1::Target target = ClientTarget();
  target.set_cgroup(cgroup.name());
  SetTarget(target);
  (void)Sample();
  SendToNobody(Network::kServer4);
  EXPECT_TRUE(Drops().empty()) << "another cgroup's";
  cgroup.EnterInner();
  SendToNobody(Network::kServer4);
  cgroup.Leave();
  uint64_t of_queue = 0;
  for (const auto& [reason, count] : Drops()) {
    if (reason.starts_with("QDISC")) of_queue += count;
  }
  EXPECT_EQ(of_queue, kDatagrams);
}

// A socket of the server that nobody reads from: what its buffer does not hold is dropped.
bpf::UniqueFd Unread(const Network& network, uint16_t port) {
  bpf::UniqueFd fd;
  network.InServer([&] {
    fd = bpf::UniqueFd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_port = htons(port);
    EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&any), sizeof(any)), 0);
  });
  return fd;
}

// Of full sockets, one of a cgroup and one outside of it, what is counted for the whole server and
// for the cgroup.
struct FullSockets {
  uint64_t whole = 0, cgroup = 0;
};

class DropsOfACgroupTest : public DropsTest {
 protected:
  void SetUp() override {
    DropsTest::SetUp();
    if (network_ && !cgroup_.why().empty()) GTEST_SKIP() << cgroup_.why();
  }
  // Sends more than a socket holds to one of the port, which is the cgroup's own when `inside`.
  FullSockets Fill(uint16_t port, bool inside) {
    if (inside) cgroup_.EnterInner();
    const bpf::UniqueFd full = Unread(*network_, port);
    cgroup_.Leave();
    chaos::v1::Target whole = ServerTarget(), of_cgroup = whole;
    of_cgroup.set_cgroup(cgroup_.name());
    of_cgroup.set_target_id("cgroup");
    for (const Status& status : driver_->SetTargets({whole, of_cgroup})) EXPECT_TRUE(status.ok());
    const std::string large(1'000, 'x');
    Client client(*network_, Protocol::kUdp, Network::kServer4, port);
    for (int i = 0; i < 2'000; ++i) client.Send(large);
    AwaitQueues();
    std::vector<chaos::v1::TargetSample> samples;
    driver_->ReadSamples(&samples);
    EXPECT_EQ(samples.size(), 2u);
    FullSockets counted;
    for (const auto& sample : samples) {
      const auto& drops = sample.traffic().kernel_drops();
      if (!drops.contains("SOCKET_RCVBUFF")) continue;
      (sample.target_id() == "cgroup" ? counted.cgroup : counted.whole) =
          drops.at("SOCKET_RCVBUFF");
    }
    return counted;
  }

  const OwnCgroup cgroup_;
};

TEST_F(DropsOfACgroupTest, WhatComesToOthersIsNotItsOwn) {
  const FullSockets counted = Fill(kClosedPort, /*inside=*/false);
  EXPECT_GT(counted.whole, 0u);
  EXPECT_EQ(counted.cgroup, 0u);
}

TEST_F(DropsOfACgroupTest, WhatComesToItIsCountedWhereTheKernelNamesTheSocket) {
  const Status named = bpf::RequireFeature("drop_sockets");
  const FullSockets counted = Fill(kFreePort, /*inside=*/true);
  EXPECT_GT(counted.whole, 0u);
  EXPECT_EQ(counted.cgroup, named.ok() ? counted.whole : 0);
  if (!named.ok()) GTEST_SKIP() << named.message();
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
