// The end of delays that the kernel holds, and what somebody else does to their devices.
#include "base/clock.h"
#include "bpf/veth.h"
#include "faults/undo.h"
#include "netns/forked_driver.h"
#include "netns/fq_fixture.h"

namespace faultline::netns_test {
namespace {

using namespace std::chrono_literals;
namespace pb = ::network::v1;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr uint16_t kPort = 7001;
constexpr double kDelayMs = 300;
constexpr double kUntouchedMs = 250;

class FqStopTest : public FqTest {
 protected:
  // While there is another target in the server's namespace, the lane stays with what it holds.
  void PlaceBesideAnother(const chaos::v1::Target& target) {
    chaos::v1::Target other = ServerTarget();
    other.set_target_id("other");
    other.set_interface("lo");
    for (const Status& status : driver_->SetTargets({target, other})) ASSERT_TRUE(status.ok());
  }
  // Has an answer to the client held by a fault that is stopped then. A machine that stands still
  // lets it out before: not each time.
  void HoldAtTheStop(Client* client) {
    bool held = false;
    for (int attempt = 0; attempt < 5 && !held; ++attempt) {
      Arm(UdpLatency(500));
      client->Send("held");
      held = client->Receive(4, 50ms).empty();
      Disarm();
    }
    EXPECT_TRUE(held);
  }
};

TEST_F(FqStopTest, WhatIsHeldAtTheStopComesInItsTimeAndWhatIsSentAfterAtOnce) {
  EchoServer server(*network_, kPort);
  PlaceBesideAnother(ServerTarget());
  Client held(*network_, Protocol::kUdp, Network::kServer4, kPort);
  HoldAtTheStop(&held);
  Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
  EXPECT_TRUE(client.AnswersBefore(kUntouchedMs));
  EXPECT_EQ(held.Receive(4), "held");
  EXPECT_EQ(driver_->Load().held_packets, 0u);
}

TEST_F(FqStopTest, WhatIsHeldForOneInterfaceDoesNotGoToTheNextThatIsATarget) {
  EchoServer server(*network_, kPort);
  Client held(*network_, Protocol::kUdp, Network::kServer4, kPort);
  bool lost = false;
  for (int attempt = 0; attempt < 5 && !lost; ++attempt) {
    PlaceBesideAnother(ServerTarget());
    HoldAtTheStop(&held);
    // It takes the place of the server's, and has the same index in its own namespace.
    PlaceBesideAnother(ClientTarget());
    lost = held.Receive(4, 1500ms).empty();  // unless that came too late
  }
  EXPECT_TRUE(lost);
}

TEST_F(FqStopTest, APairThatIsRemovedOrShutIsReplaced) {
  EchoServer server(*network_, kPort);
  SetTarget(ServerTarget());
  Arm(UdpLatency(kDelayMs));
  const auto ip = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"ip", "-n", network_->server_netns()});
    RunProgram(words);
  };
  ip({"link", "del", kFqPair});
  (void)Sample();
  EXPECT_GE(RoundTripMs(kPort), kDelayMs);
  ip({"link", "set", std::string(kFqPair) + "r", "down"});
  (void)Sample();
  EXPECT_GE(RoundTripMs(kPort), kDelayMs);
  EXPECT_EQ(Waited(), 1);
}

// A lane that takes none of the others' means: not the qdisc of the interface, and no name.
TEST_F(FqStopTest, TheInterfacesOwnQdiscAndADeviceOfThatNameStay) {
  const auto run = [&](std::vector<std::string> words) {
    words.insert(words.begin() + 1, {"-n", network_->server_netns()});
    return RunProgram(words);
  };
  run({"tc", "qdisc", "replace", "dev", Network::kInterface, "root", "fq", "limit", "777"});
  run({"ip", "link", "add", kFqPair, "type", "dummy"});
  const auto before = network_->KernelState(network_->server_netns());
  EchoServer server(*network_, kPort);
  SetTarget(ServerTarget());
  Arm(Latency(kDelayMs));
  EXPECT_GE(RoundTripMs(kPort), kDelayMs);
  EXPECT_THAT(run({"tc", "qdisc", "show", "dev", Network::kInterface}), HasSubstr("limit 777p"));
  EXPECT_THAT(Links(), Contains("fl-fq1"));
  ExpectNothingLeft(before);
  run({"ip", "link", "del", kFqPair});
}

TEST_F(FqStopTest, TheUndoRecordsAloneRemoveThePair) {
  const auto before = Links();
  SetTarget(ServerTarget());
  Arm(Latency(kDelayMs));
  auto records = undo_.records();
  std::erase_if(records, [](const auto& r) { return r.second.kind != bpf::kUndoVeth; });
  ASSERT_EQ(records.size(), 1u);
  // Somebody else's device of that name is not ours.
  auto others = records;
  others.begin()->second.arguments[5] = "020000000001";
  UndoAll(others);
  EXPECT_THAT(Links(), Contains(kFqPair));
  UndoAll(records);
  EXPECT_THAT(Links(), Not(Contains(kFqPair)));
  UndoAll(records);  // once more, with nothing left
  driver_.reset();
  EXPECT_EQ(Links(), before);
  EXPECT_THAT(undo_.records(), IsEmpty());
}

TEST(VethPlace, DamagedArgumentsAreRefused) {
  const std::vector<std::vector<std::string>> damaged = {{},
                                                         {"n", "1", "2", "a", "b"},
                                                         {"n", "x", "2", "a", "b", "020000000001"},
                                                         {"n", "1", "2", "a", "b", "02000000000"},
                                                         {"n", "1", "2", "a", "b", "02000000000z"}};
  for (const auto& arguments : damaged) {
    EXPECT_EQ(faults::Undo(bpf::kUndoVeth, arguments).code(), StatusCode::kInvalidArgument);
  }
}

// What the guardian does when the agent is killed: it ends the heartbeat and runs the journal.
TEST_F(FqStopTest, AKilledProcesssDelayIsOverAndItsJournalRemovesThePair) {
  driver_.reset();
  const auto before = Links();
  ForkedDriver killed(undo_, [this] {
    MakeDriver({.lane = "fq"});
    SetTarget(ServerTarget());
    Arm(Latency(500, pb::DIRECTION_BOTH));
    lease_->heartbeat_until_ns = BoottimeNowNs() + 5 * kNanosPerSecond;
  });
  EchoServer server(*network_, kPort);
  EXPECT_GE(RoundTripMs(kPort), 1000);
  Client held(*network_, Protocol::kUdp, Network::kServer4, kPort);
  held.Send("held");
  killed.Kill();
  UndoAll(killed.journal());
  EXPECT_EQ(Links(), before);
  Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
  EXPECT_TRUE(client.AnswersBefore(kUntouchedMs));
  EXPECT_EQ(held.Receive(4, 1500ms), "") << "what the lane held is lost with it";
}

}  // namespace
}  // namespace faultline::netns_test
