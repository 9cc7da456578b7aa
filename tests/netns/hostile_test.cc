// Somebody else changes, under an active fault, what the driver relies on.
#include <filesystem>
#include <thread>

#include "bpf/probe.h"
#include "faults/network/hooks.h"
#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

using namespace std::chrono_literals;
namespace pb = ::network::v1;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr uint16_t kPort = 7001;
constexpr double kDelayMs = 300;

class HostileTest : public DriverTest {
 protected:
  std::string Ip(std::vector<std::string> words) {
    words.insert(words.begin(), {"ip", "-n", network_->server_netns()});
    return RunProgram(words);
  }
  std::string LaneName() {
    for (const std::string& name : network_->Links(network_->server_netns())) {
      if (name.starts_with("fl-lane")) return name;
    }
    return "";
  }
  // What the agent does every second.
  Status SetTargetAgain() { return driver_->SetTargets({ServerTarget({kPort})})[0]; }
  double RoundTripMs() {
    Client client(*network_, Protocol::kUdp, Network::kServer4, kPort);
    const auto time = client.RoundTrip();
    return time ? time->count() : -1;
  }
};

TEST_F(HostileTest, ALaneThatIsRemovedOrShutIsReplaced) {
  EchoServer server(*network_, kPort);
  SetTarget(ServerTarget({kPort}));
  Arm(Latency(kDelayMs));
  Ip({"link", "del", LaneName()});
  (void)Sample();
  EXPECT_GE(RoundTripMs(), kDelayMs);
  Ip({"link", "set", LaneName(), "down"});
  (void)Sample();
  EXPECT_GE(RoundTripMs(), kDelayMs);
  EXPECT_THAT(driver_->Armed(), ElementsAre(Key()));
  driver_.reset();
  EXPECT_EQ(LaneName(), "");
}

TEST_F(HostileTest, AnInterfaceThatComesBackIsHookedAgain) {
  SetTarget(ServerTarget({kPort}));
  Arm(Latency(kDelayMs));
  Ip({"link", "del", Network::kInterface});
  EXPECT_THAT(driver_->Armed(), IsEmpty());
  EXPECT_EQ(SetTargetAgain().code(), StatusCode::kNotFound);
  EXPECT_EQ(TryArm(Latency(kDelayMs)).code(), StatusCode::kNotFound);
  Ip({"link", "add", Network::kInterface, "type", "veth", "peer", "name", "other"});
  EXPECT_TRUE(SetTargetAgain().ok());
  Arm(Latency(kDelayMs));
  EXPECT_THAT(driver_->Armed(), ElementsAre(Key()));
}

TEST_F(HostileTest, AnotherNamespaceOfThatNameIsHookedAndTheOldOneLetGo) {
  SetTarget(ServerTarget({kPort}));
  Arm(Latency(kDelayMs));
  const std::string name = network_->server_netns();
  const auto id = [&] { return *bpf::IdOf(*bpf::OpenNetns(name)); };
  const auto before = id();
  RunProgram({"ip", "netns", "del", name});
  RunProgram({"ip", "netns", "add", name});
  ASSERT_NE(id(), before);
  Ip({"link", "add", Network::kInterface, "type", "veth", "peer", "name", "other"});
  (void)Sample();
  EXPECT_EQ(LaneName(), "") << "the old namespace's lane is no business of the new one";
  EXPECT_THAT(driver_->Armed(), IsEmpty());
  EXPECT_TRUE(SetTargetAgain().ok());
  Arm(Latency(kDelayMs));
  EXPECT_NE(LaneName(), "");
  EXPECT_THAT(driver_->Armed(), ElementsAre(Key()));
}

TEST_F(HostileTest, AClsactQdiscThatIsRemovedIsNoticedAndMadeAgain) {
  MakeDriver({.attach_mode = bpf::AttachMode::kClsact});
  EchoServer server(*network_, kPort);
  SetTarget(ServerTarget({kPort}));
  Arm(Latency(kDelayMs));
  RunProgram(
      {"tc", "-n", network_->server_netns(), "qdisc", "del", "dev", Network::kInterface, "clsact"});
  EXPECT_THAT(driver_->Armed(), IsEmpty());
  EXPECT_TRUE(Client(*network_, Protocol::kUdp, Network::kServer4, kPort).AnswersBefore(kDelayMs));
  EXPECT_TRUE(SetTargetAgain().ok());
  Arm(Latency(kDelayMs));
  EXPECT_GE(RoundTripMs(), kDelayMs);
  driver_.reset();
  EXPECT_THAT(undo_.records(), IsEmpty());
}

size_t CountOpenFiles() {
  const auto files = std::filesystem::directory_iterator("/proc/self/fd");
  return static_cast<size_t>(std::distance(begin(files), end(files)));
}

TEST_F(HostileTest, AThousandFaultsLeaveNothingBehind) {
  EchoServer server(*network_, kPort);
  SetTarget(ServerTarget({kPort}));
  const auto links = network_->Links(network_->server_netns());
  const auto cycle = [&](unsigned number) {
    // Other ports and addresses each time: more than there are classes and prefixes to be had.
    auto latency = Latency(1, pb::DIRECTION_BOTH);
    for (unsigned i = 0; i < 10; ++i) {
      latency.mutable_filter()->add_peer_port(std::to_string(1 + (number * 10 + i) % 65'000));
      latency.mutable_filter()->add_peer_cidr(
          fmt::format("10.{}.{}.0/24", (number * 10 + i) / 250 % 250, (number * 10 + i) % 250));
    }
    Arm(latency);
    Disarm();
    (void)Sample();
  };
  cycle(0);
  const size_t files = CountOpenFiles();
  for (unsigned number = 1; number <= 1'000 && !HasFailure(); ++number) cycle(number);
  EXPECT_EQ(CountOpenFiles(), files);
  // The TAP device, and where the kernel has fq the pair beside it.
  const size_t lanes = bpf::HasFeature("fq") ? 3 : 1;
  EXPECT_EQ(network_->Links(network_->server_netns()).size(), links.size() + lanes);
  for (int i = 0; i < 400 && network_->Links(network_->server_netns()) != links; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(network::Hooks::kLaneIdle) / 50);
    (void)Sample();
  }
  EXPECT_EQ(network_->Links(network_->server_netns()), links);
}

}  // namespace
}  // namespace faultline::netns_test
