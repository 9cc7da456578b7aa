// Delays that the kernel holds, where it has fq. What the TAP lane's tests demand of delays they
// demand of these as well: without jitter and up to half a second.
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <sstream>
#include <thread>

#include "base/clock.h"
#include "bpf/probe.h"
#include "bpf/veth.h"
#include "faults/undo.h"
#include "netns/one_processor.h"
#include "netns/traffic.h"

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
constexpr char kPair[] = "fl-fq0";

// Why a driver with that lane cannot be made.
Status MakeWith(const std::string& lane) {
  faults::DriverContext context;
  context.lane = lane;
  return network::MakeNetworkDriver(context).status();
}

TEST(LaneChoice, AnUnknownLaneIsRefused) {
  if (const auto reason = WhyNot()) GTEST_SKIP() << *reason;
  const Status status = MakeWith("netem");
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("auto, tap and fq"));
}

TEST(LaneChoice, FqIsRefusedWhereTheKernelHasNone) {
  if (const auto reason = WhyNot()) GTEST_SKIP() << *reason;
  const Status status = MakeWith("fq");
  if (bpf::HasFeature("fq")) {
    EXPECT_TRUE(status.ok()) << status;
  } else {
    EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(status.message()), HasSubstr("no fq qdisc"));
  }
}

class FqTest : public DriverTest {
 protected:
  void SetUp() override {
    if (const Status has = bpf::RequireFeature("fq"); !has.ok() && !WhyNot()) {
      GTEST_SKIP() << ToString(has.message());
    }
    DriverTest::SetUp();
    if (driver_) MakeDriver({.lane = "fq"});
  }
  std::vector<std::string> Links() const { return network_->Links(network_->server_netns()); }
  // Packets that have waited in fq.
  int Waited() const {
    std::istringstream words(RunProgram(
        {"tc", "-n", network_->server_netns(), "-s", "qdisc", "show", "dev", kPair, "root"}));
    std::string word;
    int packets = -1;
    while (words >> word && word != "bytes") continue;
    words >> packets;
    return packets;
  }
  double RoundTripMs(uint16_t port = kPort) const {
    Client client(*network_, Protocol::kUdp, Network::kServer4, port);
    const auto time = client.RoundTrip();
    return time ? time->count() : -1;
  }
  void UndoAll(const std::map<uint64_t, MemoryUndoLog::Record_>& records) {
    for (auto it = records.rbegin(); it != records.rend(); ++it) {
      const Status status = faults::Undo(it->second.kind, it->second.arguments);
      EXPECT_TRUE(status.ok()) << status;
    }
  }
};

TEST_F(FqTest, ConstantDelaysWaitInTheKernelAndJitterInTheTapLane) {
  EchoServer server(*network_, kPort);
  SetTarget(ServerTarget({kPort}));
  Arm(Latency(kDelayMs));
  EXPECT_GE(RoundTripMs(), kDelayMs);
  EXPECT_EQ(Waited(), 1);
  const auto counters = SettledCounters();
  EXPECT_EQ(counters.delayed(), 1u);
  EXPECT_EQ(counters.delays_measured(), 1u);
  EXPECT_EQ(counters.delay_asked_ns(), static_cast<uint64_t>(kDelayMs * 1e6));
  EXPECT_GE(counters.delay_given_ns(), counters.delay_asked_ns());
  auto jitter = Latency(kDelayMs);
  jitter.set_jitter_ms(1);
  Disarm();
  Arm(jitter);
  EXPECT_GE(RoundTripMs(), kDelayMs - 10);
  Disarm();
  Arm(Latency(600));
  EXPECT_GE(RoundTripMs(), 600);
  EXPECT_EQ(Waited(), 1) << "neither jitter nor long delays are for the kernel";
}

TEST_F(FqTest, TheTapLaneCanBeAskedForInstead) {
  MakeDriver({.lane = "tap"});
  EchoServer server(*network_, kPort);
  SetTarget(ServerTarget({kPort}));
  Arm(Latency(kDelayMs));
  EXPECT_GE(RoundTripMs(), kDelayMs);
  EXPECT_THAT(Links(), Not(Contains(kPair)));
  for (const auto& capability : driver_->Probe()) {
    EXPECT_EQ(capability.available(), capability.name() != "fq" && capability.reason().empty());
  }
}

TEST_F(FqTest, AFlowKeepsItsOrderInEachDirection) {
  constexpr int kPackets = 3000;
  const OneProcessor in_order;  // as far as the lane
  EchoServer server(*network_, kPort);
  Sink sink(*network_, kPort + 1);
  SetTarget(ServerTarget());
  for (const auto direction : {pb::DIRECTION_INGRESS, pb::DIRECTION_EGRESS}) {
    Arm(Latency(50, direction));
    const bool in = direction == pb::DIRECTION_INGRESS;
    Client client(*network_, Protocol::kUdp, Network::kServer4, in ? kPort + 1 : kPort);
    std::string sent;
    for (int i = 0; i < kPackets; ++i) {
      client.Send(fmt::format("{:06}", i));
      sent += fmt::format("{:06}", i);
      // What the echo answers comes a few at a time: its sockets hold no more.
      if (i % 50 == 0) std::this_thread::sleep_for(10ms);
    }
    std::string arrived;
    if (in) {
      for (const std::string& datagram : sink.Take(kPackets)) arrived += datagram;
    } else {
      arrived = client.Receive(sent.size());
    }
    EXPECT_EQ(arrived.size(), sent.size());
    EXPECT_TRUE(arrived == sent) << "direction " << direction;
    EXPECT_EQ(SettledCounters().lane_dropped(), 0u);
    Disarm();
    (void)Sample();
  }
  EXPECT_GE(Waited(), 2 * kPackets);
}

TEST_F(FqTest, ALongDelayDoesNotHoldBackAShortOne) {
  EchoServer server(*network_, kPort), other(*network_, kPort + 1);
  SetTarget(ServerTarget());
  auto slow = Latency(500), fast = Latency(20);
  slow.mutable_filter()->add_local_port(std::to_string(kPort));
  fast.mutable_filter()->add_local_port(std::to_string(kPort + 1));
  Arm(slow, 0);
  Arm(fast, 1);
  std::vector<std::unique_ptr<Client>> slow_clients;
  for (int i = 0; i < 50; ++i) {
    slow_clients.push_back(
        std::make_unique<Client>(*network_, Protocol::kUdp, Network::kServer4, kPort));
    slow_clients.back()->Send("slow");
  }
  Client client(*network_, Protocol::kUdp, Network::kServer4, kPort + 1);
  EXPECT_TRUE(client.AnswersBefore(kUntouchedMs));
  for (const auto& each : slow_clients) EXPECT_EQ(each->Receive(4), "slow");
  EXPECT_GE(Waited(), 51);
}

TEST_F(FqTest, AFullLaneDropsCountsWhatItDropsAndRecovers) {
  constexpr int kPackets = 200, kBytes = 1000, kFit = 50;
  constexpr uint64_t kHeaders = 14 + 20 + 8;
  MakeDriver({.lane = "fq", .fq_bytes = kFit * (kBytes + kHeaders + FL_FQ_PACKET_BYTES)});
  Sink sink(*network_, kPort);
  SetTarget(ServerTarget({kPort}));
  Arm(Latency(500, pb::DIRECTION_INGRESS));
  Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < kPackets; ++i) client.Send(std::string(kBytes, 'x'));
  const auto took = std::chrono::steady_clock::now() - began;
  EXPECT_LE(driver_->Load().held_packets, static_cast<uint64_t>(kFit));
  const size_t arrived = sink.Take(kPackets, 1500ms).size();
  const auto counters = SettledCounters();
  EXPECT_EQ(counters.delayed(), static_cast<uint64_t>(kPackets));
  EXPECT_EQ(counters.lane_dropped(), kPackets - arrived);
  // Unless sending took longer than a packet is held.
  if (took < 500ms) {
    EXPECT_EQ(arrived, static_cast<size_t>(kFit));
  }
  client.Send("again");
  EXPECT_EQ(sink.Take(1).size(), 1u);
  EXPECT_EQ(driver_->Load().held_bytes, 0u);
}

TEST_F(FqTest, WhatIsHeldAtTheStopComesInItsTimeAndWhatIsSentAfterAtOnce) {
  EchoServer server(*network_, kPort);
  SetTarget(ServerTarget());
  Arm(Latency(500));
  Client held(*network_, Protocol::kUdp, Network::kServer4, kPort);
  held.Send("held");
  EXPECT_EQ(held.Receive(4, 50ms), "");
  Disarm();
  Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
  EXPECT_TRUE(client.AnswersBefore(kUntouchedMs));
  EXPECT_EQ(held.Receive(4), "held");
  EXPECT_EQ(driver_->Load().held_packets, 0u);
}

TEST_F(FqTest, ARuleThatPicksAmongAFlowsPacketsBesideAnotherSendsAllToTheTapLane) {
  EchoServer server(*network_, kPort);
  SetTarget(ServerTarget());
  Arm(Latency(200), 0);
  auto large = Latency(100);
  large.mutable_filter()->set_min_packet_bytes(1000);
  Arm(large, 1);
  EXPECT_GE(RoundTripMs(), 200);
  EXPECT_EQ(Waited(), 0);
  Disarm(1);
  EXPECT_GE(RoundTripMs(), 200);
  EXPECT_EQ(Waited(), 1);
}

TEST_F(FqTest, WhatAlsoMeetsAnotherFaultWaitsInTheTapLane) {
  EchoServer server(*network_, kPort), other(*network_, kPort + 1);
  SetTarget(ServerTarget());
  Arm(Latency(200), 0);
  ArmKind("NETWORK_DUPLICATE", {{"duplicate_percent", "100"}, {"local_port", "7001"}}, 1);
  EXPECT_GE(RoundTripMs(), 200);
  EXPECT_EQ(Waited(), 0);
  EXPECT_GE(RoundTripMs(kPort + 1), 200);
  EXPECT_EQ(Waited(), 1);
  EXPECT_EQ(SettledCounters(0).lane_dropped(), 0u);
  EXPECT_EQ(SettledCounters(0).delays_measured(), 2u);
}

TEST_F(FqTest, APairThatIsRemovedOrShutIsReplaced) {
  EchoServer server(*network_, kPort);
  SetTarget(ServerTarget());
  Arm(Latency(kDelayMs));
  const auto ip = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"ip", "-n", network_->server_netns()});
    RunProgram(words);
  };
  ip({"link", "del", kPair});
  (void)Sample();
  EXPECT_GE(RoundTripMs(), kDelayMs);
  ip({"link", "set", std::string(kPair) + "r", "down"});
  (void)Sample();
  EXPECT_GE(RoundTripMs(), kDelayMs);
  EXPECT_EQ(Waited(), 1);
}

// A lane that takes none of the others' means: not the qdisc of the interface, and no name.
TEST_F(FqTest, TheInterfacesOwnQdiscAndADeviceOfThatNameStay) {
  const auto run = [&](std::vector<std::string> words) {
    words.insert(words.begin() + 1, {"-n", network_->server_netns()});
    return RunProgram(words);
  };
  run({"tc", "qdisc", "replace", "dev", Network::kInterface, "root", "fq", "limit", "777"});
  run({"ip", "link", "add", kPair, "type", "dummy"});
  const auto before = network_->KernelState(network_->server_netns());
  EchoServer server(*network_, kPort);
  SetTarget(ServerTarget());
  Arm(Latency(kDelayMs));
  EXPECT_GE(RoundTripMs(), kDelayMs);
  EXPECT_THAT(run({"tc", "qdisc", "show", "dev", Network::kInterface}), HasSubstr("limit 777p"));
  EXPECT_THAT(Links(), Contains("fl-fq1"));
  ExpectNothingLeft(before);
}

TEST_F(FqTest, TheUndoRecordsAloneRemoveThePair) {
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
  EXPECT_THAT(Links(), Contains(kPair));
  UndoAll(records);
  EXPECT_THAT(Links(), Not(Contains(kPair)));
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
TEST_F(FqTest, AKilledProcesssDelayIsOverAndItsJournalRemovesThePair) {
  driver_.reset();
  const auto before = Links();
  int told[2];
  ASSERT_EQ(pipe(told), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    MakeDriver({.lane = "fq"});
    SetTarget(ServerTarget());
    Arm(Latency(500, pb::DIRECTION_BOTH));
    lease_->heartbeat_until_ns = BoottimeNowNs() + 5 * kNanosPerSecond;
    std::string text;
    for (const auto& [handle, record] : undo_.records()) {
      text += record.kind + "\n" + std::to_string(record.arguments.size()) + "\n";
      for (const std::string& argument : record.arguments) text += argument + "\n";
    }
    text += HasFailure() ? "failed\n" : "armed\n";
    (void)!write(told[1], text.data(), text.size());
    pause();
    _exit(0);
  }
  std::string text;
  while (!text.ends_with("armed\n") && !text.ends_with("failed\n")) {
    char bytes[4096];
    const ssize_t got = read(told[0], bytes, sizeof(bytes));
    ASSERT_GT(got, 0);
    text.append(bytes, static_cast<size_t>(got));
  }
  ASSERT_TRUE(text.ends_with("armed\n"));
  EchoServer server(*network_, kPort);
  EXPECT_GE(RoundTripMs(), 1000);
  Client held(*network_, Protocol::kUdp, Network::kServer4, kPort);
  held.Send("held");
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  std::map<uint64_t, MemoryUndoLog::Record_> records;
  std::istringstream lines(text);
  std::string line;
  while (std::getline(lines, line) && line != "armed") {
    MemoryUndoLog::Record_ record{line, {}};
    std::getline(lines, line);
    for (size_t left = std::stoul(line); left > 0 && std::getline(lines, line); --left) {
      record.arguments.push_back(line);
    }
    records.emplace(records.size(), record);
  }
  UndoAll(records);
  EXPECT_EQ(Links(), before);
  Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
  EXPECT_TRUE(client.AnswersBefore(kUntouchedMs));
  EXPECT_EQ(held.Receive(4, 1500ms), "") << "what the lane held is lost with it";
  close(told[0]);
  close(told[1]);
}

}  // namespace
}  // namespace faultline::netns_test
