// Faults on a loopback device, and that the settings they need there go back.
#include <fstream>
#include <thread>
#include <tuple>

#include "bpf/sysctl.h"
#include "faults/undo.h"
#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

using namespace std::chrono_literals;
namespace pb = ::network::v1;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr uint16_t kPort = 7001;
constexpr double kDelayMs = 300;
constexpr double kUntouchedMs = 250;
constexpr char kLocalnet[] = "ipv4/conf/lo/route_localnet";
constexpr char kAcceptLocal[] = "ipv4/conf/lo/accept_local";

class LoopbackTest : public DriverTest {
 protected:
  chaos::v1::Target LoopbackTarget() const {
    chaos::v1::Target target = ServerTarget({kPort});
    target.set_interface("lo");
    return target;
  }
  Client LocalClient(Protocol protocol, const std::string& address) const {
    return Client(*network_, protocol, address, kPort, 0, network_->server_netns());
  }
  std::string Setting(const std::string& key) const {
    std::string value;
    network_->InServer([&] { std::ifstream("/proc/sys/net/" + key) >> value; });
    return value;
  }
  void Set(const std::string& key, const std::string& value) const {
    network_->InServer([&] { std::ofstream("/proc/sys/net/" + key) << value; });
  }
  std::vector<std::string> Settings() const { return {Setting(kLocalnet), Setting(kAcceptLocal)}; }
  // The undo records of settings; those of clsact filters, where there is no TCX, stand beside
  // them.
  std::map<uint64_t, MemoryUndoLog::Record_> Changes() const {
    auto records = undo_.records();
    std::erase_if(records, [](const auto& r) { return r.second.kind != bpf::kUndoSysctl; });
    return records;
  }
  // Reads samples, as the agent does ten times a second, until nothing is changed any more.
  void AwaitRestored(std::chrono::milliseconds patience = kPatience) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!Changes().empty() && std::chrono::steady_clock::now() < end) {
      (void)Sample();
      std::this_thread::sleep_for(20ms);
    }
  }
};

class EveryLocalWay
    : public LoopbackTest,
      public testing::WithParamInterface<std::tuple<Protocol, const char*, pb::Direction>> {};

TEST_P(EveryLocalWay, TheDelayAskedIsAddedOnceForEachDirection) {
  const auto [protocol, address, direction] = GetParam();
  EchoServer server(*network_, kPort);
  SetTarget(LoopbackTarget());
  Arm(Latency(kDelayMs, direction));
  // Made under the fault: the first packet of a connection needs a route more than the others do.
  Client client = LocalClient(protocol, address);
  const auto slow = client.RoundTrip();
  ASSERT_TRUE(slow.has_value());
  EXPECT_GE(slow->count(), (direction == pb::DIRECTION_BOTH ? 2 : 1) * kDelayMs);
  const auto counters = SettledCounters();
  EXPECT_EQ(counters.delayed(), counters.matched());
  EXPECT_EQ(counters.lane_dropped(), 0u);
  Disarm();
  EXPECT_TRUE(client.AnswersBefore(kUntouchedMs));
}

INSTANTIATE_TEST_SUITE_P(
    All, EveryLocalWay,
    testing::Combine(testing::Values(Protocol::kTcp, Protocol::kUdp),
                     // The host's other addresses are reached over loopback as well.
                     testing::Values("127.0.0.1", "::1", Network::kServer4, Network::kServer6),
                     testing::Values(pb::DIRECTION_EGRESS, pb::DIRECTION_BOTH)));

TEST_F(LoopbackTest, LargePacketsAreDelayedAndArriveIntact) {
  EchoServer server(*network_, kPort);
  SetTarget(LoopbackTarget());
  Arm(Latency(kDelayMs));
  for (const char* address : {"127.0.0.1", "::1"}) {
    for (const auto& [protocol, bytes] :
         {std::pair{Protocol::kUdp, 40'000u}, std::pair{Protocol::kTcp, 600'000u}}) {
      Client client = LocalClient(protocol, address);
      std::string data(bytes, '\0');
      for (size_t i = 0; i < bytes; ++i) data[i] = static_cast<char>(i * 2'654'435'761u >> 24);
      const auto began = std::chrono::steady_clock::now();
      std::thread sender([&] { client.Send(data); });
      EXPECT_TRUE(client.Receive(bytes) == data);
      sender.join();
      const Milliseconds time = std::chrono::steady_clock::now() - began;
      EXPECT_GE(time.count(), kDelayMs);
    }
  }
  const auto counters = SettledCounters();
  EXPECT_EQ(counters.delayed(), counters.matched());
  EXPECT_EQ(counters.lane_dropped(), 0u);
}

TEST_F(LoopbackTest, TheSettingsAreThereOnlyWhileSomethingIsDelayed) {
  const auto before = Settings();
  SetTarget(LoopbackTarget());
  Arm(Loss(10), 0);
  EXPECT_THAT(Changes(), IsEmpty());
  Arm(Latency(1), 1);
  Arm(Latency(1), 2);
  EXPECT_THAT(Settings(), ElementsAre("1", "1"));
  EXPECT_EQ(Changes().size(), 2u);
  Disarm(1);
  AwaitRestored(2s);
  EXPECT_THAT(Settings(), ElementsAre("1", "1")) << "the other still needs them";
  Disarm(2);
  AwaitRestored();
  EXPECT_EQ(Settings(), before);
  EXPECT_THAT(Changes(), IsEmpty());
  Arm(Latency(1), 3);
  EXPECT_THAT(Settings(), ElementsAre("1", "1")) << "needed again while the lane is still there";
  driver_.reset();
  EXPECT_EQ(Settings(), before);
  EXPECT_THAT(Changes(), IsEmpty());
}

// A pod's namespace outlives the process that it was named by.
TEST_F(LoopbackTest, TheSettingsGoBackThoughTheProcessThatNamedTheNamespaceHasEnded) {
  const auto before = Settings();
  auto service =
      std::make_unique<Process>(Network::Inside(network_->server_netns(), {"sleep", "3600"}));
  chaos::v1::Target target = LoopbackTarget();
  target.set_netns(fmt::format("pid:{}", service->pid()));
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!driver_->SetTargets({target})[0].ok()) {
    ASSERT_LT(std::chrono::steady_clock::now(), end);
    std::this_thread::sleep_for(20ms);
  }
  Arm(Latency(1));
  EXPECT_THAT(Settings(), ElementsAre("1", "1"));
  service.reset();
  EXPECT_FALSE(driver_->SetTargets({target})[0].ok());
  EXPECT_EQ(Settings(), before);
  EXPECT_THAT(Changes(), IsEmpty());
}

TEST_F(LoopbackTest, ASettingThatWasOnStaysOn) {
  Set(kLocalnet, "1");
  SetTarget(LoopbackTarget());
  Arm(Latency(1));
  EXPECT_EQ(Changes().size(), 1u);
  driver_.reset();
  EXPECT_THAT(Settings(), ElementsAre("1", "0"));
}

TEST_F(LoopbackTest, WhatSomebodyElseHasSetSinceStays) {
  SetTarget(LoopbackTarget());
  Arm(Latency(1));
  Set(kLocalnet, "2");
  driver_.reset();
  EXPECT_THAT(Settings(), ElementsAre("2", "0"));
}

TEST_F(LoopbackTest, TheUndoRecordsAloneRestoreTheSettings) {
  const auto before = Settings();
  SetTarget(LoopbackTarget());
  Arm(Latency(1));
  const auto records = Changes();
  ASSERT_EQ(records.size(), 2u);
  for (const auto& [handle, record] : records) {
    EXPECT_TRUE(faults::Undo(record.kind, record.arguments).ok());
  }
  EXPECT_EQ(Settings(), before);
}

TEST_F(LoopbackTest, AnotherNamespaceOfThatNameIsNotTouched) {
  SetTarget(LoopbackTarget());
  Arm(Latency(1));
  const auto records = Changes();
  driver_.reset();
  // As if the namespace had been made anew: the name leads to another one.
  Set(kLocalnet, "1");
  for (auto [handle, record] : records) {
    record.arguments[2] += "0";  // its inode
    EXPECT_TRUE(faults::Undo(record.kind, record.arguments).ok());
  }
  EXPECT_EQ(Setting(kLocalnet), "1");
}

TEST_F(LoopbackTest, ANamespaceThatIsGoneNeedsNothing) {
  SetTarget(LoopbackTarget());
  Arm(Latency(1));
  const auto records = Changes();
  network_.reset();
  for (const auto& [handle, record] : records) {
    EXPECT_TRUE(faults::Undo(record.kind, record.arguments).ok());
  }
  driver_.reset();
  EXPECT_THAT(Changes(), IsEmpty());
}

TEST(SysctlChange, DamagedArgumentsAreRefused) {
  const std::vector<std::vector<std::string>> damaged = {
      {},
      {"n", "1", "2", "", "0", "1"},
      {"n", "x", "2", "ipv4/a", "0", "1"},
      {"n", "1", "2", "../../kernel/panic", "0", "1"}};
  for (const auto& arguments : damaged) {
    EXPECT_EQ(faults::Undo(bpf::kUndoSysctl, arguments).code(), StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace faultline::netns_test
