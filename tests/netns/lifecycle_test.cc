// What the driver makes, and that nothing of it stays.
#include <algorithm>

#include "bpf/netlink.h"
#include "faults/undo.h"
#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

using namespace std::chrono_literals;
namespace pb = ::network::v1;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

constexpr uint16_t kPort = 7001;
// How long an answer that should not come is waited for. One that should come has kPatience.
constexpr auto kLost = 150ms;

class LifecycleTest : public DriverTest {
 protected:
  bool Answers(std::chrono::milliseconds patience = kPatience) {
    Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
    return client.RoundTrip(patience).has_value();
  }
  bool IsLost() { return !Answers(kLost); }
  // Filters and qdisc on the server's interface.
  size_t CountFilters() {
    size_t count = 0;
    network_->InServer([&] {
      const auto found = bpf::FindInterface(Network::kInterface);
      for (const bool egress : {false, true}) {
        count += bpf::ListTcFilters(found->index, egress)->size();
      }
    });
    return count;
  }
  bool HasQdisc() {
    bool has = false;
    network_->InServer(
        [&] { has = *bpf::HasClsact(bpf::FindInterface(Network::kInterface)->index); });
    return has;
  }
};

TEST_F(LifecycleTest, TheDestructorLeavesNothing) {
  const auto before = network_->Links(network_->server_netns());
  EchoServer server(*network_, kPort);
  SetTarget(ServerTarget());
  Arm(Latency(5000), 0);
  EXPECT_EQ(network_->Links(network_->server_netns()).size(), before.size() + 1);
  EXPECT_TRUE(IsLost());
  driver_.reset();
  EXPECT_EQ(network_->Links(network_->server_netns()), before);
  EXPECT_TRUE(Answers());
  EXPECT_FALSE(HasQdisc());
}

TEST_F(LifecycleTest, DisarmLetsOutWhatIsHeld) {
  EchoServer server(*network_, kPort);
  SetTarget(ServerTarget());
  Arm(Latency(60000));
  Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
  client.Send("held");
  EXPECT_EQ(client.Receive(4, kLost), "");
  Disarm();
  EXPECT_EQ(client.Receive(4), "held");
}

TEST_F(LifecycleTest, ATargetThatGoesTakesItsFaultsAlong) {
  EchoServer server(*network_, kPort);
  SetTarget(ServerTarget());
  Arm(Loss(100));
  EXPECT_THAT(driver_->Armed(), ElementsAre(Key()));
  EXPECT_TRUE(IsLost());
  driver_->SetTargets({});
  EXPECT_THAT(driver_->Armed(), IsEmpty());
  EXPECT_TRUE(Answers());
}

TEST_F(LifecycleTest, ArmedFollowsTheInterfaceThatGoes) {
  SetTarget(ServerTarget());
  Arm(Loss(100));
  RunProgram({"ip", "-n", network_->server_netns(), "link", "del", Network::kInterface});
  EXPECT_THAT(driver_->Armed(), IsEmpty());
}

TEST_F(LifecycleTest, TheNamespaceMayGoWhileItsPacketsAreHeld) {
  auto server = std::make_unique<EchoServer>(*network_, kPort);
  SetTarget(ServerTarget());
  Arm(Latency(60000));
  {
    Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
    client.Send("held");
  }
  server.reset();
  network_.reset();
  (void)Sample();
  Disarm();
}

TEST_F(LifecycleTest, TargetsOnOneInterfaceKeepTheirFaultsApart) {
  EchoServer server(*network_, kPort), other(*network_, kPort + 1);
  chaos::v1::Target first = ServerTarget({kPort}), second = ServerTarget({kPort + 1});
  second.set_target_id("u");
  for (const Status& status : driver_->SetTargets({first, second})) ASSERT_TRUE(status.ok());
  Arm(Loss(100));
  EXPECT_TRUE(IsLost());
  Client client(*network_, Protocol::kUdp, Network::kServer4, kPort + 1);
  EXPECT_TRUE(client.RoundTrip().has_value());
  // The second's fault may come and go without touching the first's.
  faults::ArmRequest request;
  request.key = {"e2", 0, "u"};
  request.config.PackFrom(Loss(100));
  request.deadline_boottime_ns = UINT64_MAX;
  ASSERT_TRUE(driver_->Arm(request).ok());
  EXPECT_FALSE(client.RoundTrip(kLost).has_value());
  driver_->SetTargets({first});
  EXPECT_TRUE(client.RoundTrip().has_value());
  EXPECT_TRUE(IsLost());
}

class ClsactTest : public LifecycleTest {
 protected:
  void SetUp() override {
    LifecycleTest::SetUp();
    if (driver_) MakeDriver({.attach_mode = bpf::AttachMode::kClsact});
  }
};

TEST_F(ClsactTest, FaultsWorkAndTheDestructorLeavesNoFilterAndNoQdisc) {
  EchoServer server(*network_, kPort);
  SetTarget(ServerTarget());
  EXPECT_EQ(CountFilters(), 2u);
  EXPECT_EQ(undo_.records().size(), 3u);  // the qdisc and two filters
  for (const auto direction : {pb::DIRECTION_EGRESS, pb::DIRECTION_INGRESS}) {
    Arm(Latency(300, direction));
    Client client(*network_, Protocol::kTcp, Network::kServer4, kPort);
    const auto time = client.RoundTrip();
    ASSERT_TRUE(time.has_value());
    EXPECT_GE(time->count(), 300);
    Disarm();
  }
  Arm(Loss(100));
  EXPECT_TRUE(IsLost());
  driver_.reset();
  EXPECT_EQ(CountFilters(), 0u);
  EXPECT_FALSE(HasQdisc());
  EXPECT_THAT(undo_.records(), IsEmpty());
  EXPECT_TRUE(Answers());
}

TEST_F(ClsactTest, TheUndoRecordsAloneTakeEverythingAway) {
  EchoServer server(*network_, kPort);
  SetTarget(ServerTarget());
  Arm(Loss(100));
  EXPECT_TRUE(IsLost());
  const auto records = undo_.records();
  UndoAll(records);
  EXPECT_EQ(CountFilters(), 0u);
  EXPECT_FALSE(HasQdisc());
  EXPECT_TRUE(Answers());
  UndoAll(records);  // once more, with nothing left
}

// A name may come to mean another namespace; what is to be undone is where it was made.
TEST_F(ClsactTest, TheUndoRecordsMeanTheVeryNamespace) {
  SetTarget(ServerTarget());
  auto records = undo_.records();
  ASSERT_EQ(records.size(), 3u);
  for (auto& [handle, record] : records) record.arguments[0] = network_->client_netns();
  auto others = records;
  for (auto& [handle, record] : others) record.arguments[2] = "1";  // of no namespace
  UndoAll(others);
  EXPECT_EQ(CountFilters(), 2u);
  EXPECT_TRUE(HasQdisc());
  UndoAll(records);
  EXPECT_EQ(CountFilters(), 0u);
  EXPECT_FALSE(HasQdisc());
}

TEST_F(ClsactTest, OtherPeoplesFiltersAndQdiscStay) {
  const auto tc = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"tc", "-n", network_->server_netns()});
    return RunProgram(words);
  };
  tc({"qdisc", "add", "dev", Network::kInterface, "clsact"});
  tc({"filter", "add", "dev", Network::kInterface, "ingress", "prio", "1", "bpf", "bytecode",
      kPassAll, "flowid", "1:1"});
  SetTarget(ServerTarget());
  EXPECT_EQ(CountFilters(), 3u);
  EXPECT_EQ(undo_.records().size(), 2u);  // the qdisc is not ours
  driver_.reset();
  EXPECT_EQ(CountFilters(), 1u);
  EXPECT_TRUE(HasQdisc());
}

TEST_F(ClsactTest, AFilterThatSomebodyPutOnOurQdiscKeepsIt) {
  SetTarget(ServerTarget());
  RunProgram({"tc", "-n", network_->server_netns(), "filter", "add", "dev", Network::kInterface,
              "egress", "prio", "77", "bpf", "bytecode", kPassAll, "flowid", "1:1"});
  driver_.reset();
  EXPECT_EQ(CountFilters(), 1u);
  EXPECT_TRUE(HasQdisc());
}

TEST(Undo, RefusesUnknownKindsAndDamagedArguments) {
  EXPECT_EQ(faults::Undo("nonsense", {}).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(faults::Undo("clsact", {"x"}).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(
      faults::Undo("tc_filter", {"n", "4", "7", "eth0", "2", "sideways", "1", "1", "9"}).code(),
      StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace faultline::netns_test
