// Targets that are started anew, move and are renamed under an active fault, as the agent follows
// them.
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "bpf/netns_name.h"
#include "netns/cgroup.h"
#include "netns/follow_fixture.h"

namespace faultline::netns_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// A service's process.
std::unique_ptr<Process> Service(const Network& network) {
  return std::make_unique<Process>(Network::Inside(network.server_netns(), {"sleep", "3600"}));
}

TEST_P(FollowTest, ALookAloneChangesNothing) {
  const auto target = [this] {
    chaos::v1::Target made = ServerTarget();
    for (const char* key : {"service", "version", "zone", "team", "tier"}) {
      (*made.mutable_labels())[key] = "x";
    }
    return made;
  };
  Start(target());
  const auto records = undo_.records().size();
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(driver_->SetTargets({target()})[0].ok());
    ASSERT_THAT(driver_->Armed(), ElementsAre(Key()));
  }
  EXPECT_EQ(undo_.records().size(), records);
  EXPECT_TRUE(IsSlow());
}

TEST_P(FollowTest, AServiceThatIsStartedAnewUnderTheSameNameIsSlowAgain) {
  Start(ServerTarget());
  EXPECT_TRUE(IsSlow());
  network_->RestartServer();
  EXPECT_TRUE(IsFast());
  EXPECT_EQ(Look(ServerTarget()), "");
  EXPECT_THAT(why_gone_, HasSubstr("is another one now"));
  EXPECT_TRUE(IsSlow());
  driver_.reset();
  EXPECT_EQ(FaultlineIn(network_->server_netns()), "");
  EXPECT_THAT(undo_.records(), IsEmpty());
}

TEST_P(FollowTest, AnInterfaceThatIsMadeAnewIsSlowAgain) {
  Start(ServerTarget());
  Ip("link del eth0");
  EXPECT_EQ(Look(ServerTarget()), fmt::format("interface 'eth0': there is none of that name in "
                                              "netns '{}', which has lo",
                                              network_->server_netns()));
  EXPECT_THAT(driver_->Armed(), IsEmpty());
  EXPECT_TRUE(LeavesNothing(ServerTarget()));
  network_->RestartServer();
  EXPECT_EQ(Look(ServerTarget()), "");
  EXPECT_TRUE(IsSlow());
}

TEST_P(FollowTest, AnInterfaceThatComesAfterTheAgentIsTakenThen) {
  chaos::v1::Target target = ServerTarget();
  target.set_interface("eth7");
  EXPECT_THAT(Look(target), HasSubstr("which has lo, eth0"));
  Ip("link add eth7 type veth peer name other");
  EXPECT_EQ(Look(target), "");
  EXPECT_THAT(driver_->Armed(), ElementsAre(Key()));
}

TEST_P(FollowTest, TheNameIsWhatCounts) {
  Start(ServerTarget());
  Ip("link set eth0 down");
  Ip("link set eth0 name blue0");
  EXPECT_THAT(Look(ServerTarget()), HasSubstr("interface 'eth0': there is none of that name"));
  EXPECT_THAT(why_gone_, HasSubstr("which has lo, "));
  EXPECT_TRUE(LeavesNothing(ServerTarget())) << "nothing stays on what has another name";
  Ip("link set blue0 up");
  EXPECT_TRUE(IsFast());
  EXPECT_THAT(undo_.records(), IsEmpty());
  // Another one gets the name, then the first has it again.
  Ip("link add eth0 type veth peer name other");
  EXPECT_EQ(Look(ServerTarget()), "");
  EXPECT_THAT(driver_->Armed(), ElementsAre(Key()));
  EXPECT_TRUE(IsFast());
  Ip("link del eth0");
  Ip("link set blue0 down");
  Ip("link set blue0 name eth0");
  Ip("link set eth0 up");
  EXPECT_EQ(Look(ServerTarget()), "");
  EXPECT_TRUE(IsSlow());
}

TEST_P(FollowTest, ANamespaceIsNotKeptFromGoing) {
  Start(ServerTarget());
  ASSERT_TRUE(IsSlow());
  RunBatch({"ip"}, {"netns del " + network_->server_netns()});
  EXPECT_THAT(Look(ServerTarget()), HasSubstr("/run/netns/" + network_->server_netns() +
                                              " cannot be opened: No such file or directory"));
  // With the namespace goes the other end of its interface.
  const auto has_peer = [&] { return network_->Links(network_->client_netns()).size() > 1; };
  EXPECT_TRUE(LookUntil(ServerTarget(), [&] { return !has_peer(); }));
}

TEST_P(FollowTest, WhatAFaultDidOnItsLastPlaceIsStillTold) {
  Start(ServerTarget());
  EXPECT_TRUE(IsSlow());
  network_->RestartServer();
  driver_->SetTargets({ServerTarget()});
  const auto counters = Counters();
  EXPECT_GT(counters.delayed(), 0u);
  auto again = Latency(kDelayMs);
  // A network that is new tells its neighbours of its addresses.
  again.mutable_filter()->set_protocol(::network::v1::PROTOCOL_UDP);
  Arm(again);
  EXPECT_EQ(Counters().delayed(), 0u);
}

TEST_P(FollowTest, ArmingFollowsATargetThatHasMovedSinceTheLastLook) {
  SetTarget(ServerTarget());
  network_->RestartServer();
  Arm(Latency(kDelayMs));
  EXPECT_TRUE(IsSlow());
}

TEST_P(FollowTest, TheServicesOfACgroupAreFollowedWhereverTheirNetworkIs) {
  const OwnCgroup cgroup;
  if (!cgroup.why().empty()) GTEST_SKIP() << cgroup.why();
  const Network next;
  chaos::v1::Target target = ServerTarget();
  target.set_netns("cgroup:/" + cgroup.name());
  EXPECT_EQ(Look(target), "netns 'cgroup:/" + cgroup.name() + "': no process is in that cgroup");
  const auto start = [&](const Network& network) {
    cgroup.EnterInner();
    auto service = Service(network);
    cgroup.Leave();
    return service;
  };
  auto service = start(*network_);
  EXPECT_TRUE(LookUntil(target, [&] { return Look(target).empty(); }));
  EXPECT_TRUE(IsSlow());
  service.reset();
  EXPECT_THAT(Look(target), HasSubstr("no process is in that cgroup"));
  EXPECT_TRUE(LeavesNothing(target));
  EXPECT_TRUE(IsFast());
  service = start(next);
  EXPECT_TRUE(LookUntil(target, [&] { return Look(target).empty(); }));
  EXPECT_TRUE(IsSlow(next));
  EXPECT_TRUE(IsFast());
  const auto beside = start(*network_);
  EXPECT_TRUE(LookUntil(target, [&] {
    return Look(target).ends_with("its processes are in several network namespaces");
  }));
}

TEST_P(FollowTest, ACgroupThatIsMadeAnewIsFollowed) {
  auto cgroup = std::make_unique<OwnCgroup>();
  if (!cgroup->why().empty()) GTEST_SKIP() << cgroup->why();
  chaos::v1::Target target = ServerTarget();
  target.set_cgroup(cgroup->name());
  const auto inside = [&](const auto& is_so) {
    cgroup->EnterInner();
    const bool so = is_so();
    cgroup->Leave();
    return so;
  };
  const auto is_slow = [this] { return IsSlow(); };
  const auto is_fast = [this] { return IsFast(); };
  Start(target);
  EXPECT_TRUE(inside(is_slow));
  cgroup.reset();
  EXPECT_THAT(Look(target), HasSubstr("there is none (v2) of that path"));
  cgroup = std::make_unique<OwnCgroup>();
  EXPECT_TRUE(inside(is_fast));
  EXPECT_EQ(Look(target), "");
  EXPECT_TRUE(inside(is_slow));
  EXPECT_TRUE(IsFast()) << "what is outside";
}

TEST_P(FollowTest, AProcessIsFollowedByItsPidFileAndByItsNumberUntilItEnds) {
  const Network next;
  const std::string path = "/tmp/fl-follow-" + std::to_string(getpid());
  auto service = Service(*network_);
  chaos::v1::Target by_number = ServerTarget(), by_file = ServerTarget();
  const auto write = [&] { std::ofstream(path) << service->pid() << "\n"; };
  by_file.set_netns("pid:" + path);
  EXPECT_EQ(Look(by_file), "netns 'pid:" + path + "': there is no number in that file");
  write();
  EXPECT_TRUE(LookUntil(by_file, [&] { return Look(by_file).empty(); }));
  EXPECT_TRUE(IsSlow());
  by_number.set_netns(bpf::PinProcess("pid:" + std::to_string(service->pid())));
  EXPECT_EQ(Look(by_number), "");
  EXPECT_TRUE(IsSlow());
  service.reset();
  EXPECT_THAT(Look(by_number), testing::EndsWith("has ended"));
  EXPECT_TRUE(IsFast());
  service = Service(next);
  write();
  EXPECT_TRUE(LookUntil(by_file, [&] { return Look(by_file).empty(); }));
  EXPECT_TRUE(IsSlow(next));
  // Another process of the same number is another process.
  by_number.set_netns(fmt::format("pid:{}@1", service->pid()));
  EXPECT_THAT(Look(by_number), testing::EndsWith("has ended"));
  by_number.set_netns("pid:4194304@0");
  EXPECT_THAT(Look(by_number), testing::EndsWith("was not there when the agent was started"));
  // A file that a dead service has left names whoever has the number now.
  std::filesystem::last_write_time(
      path, std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
  EXPECT_THAT(Look(by_file), testing::EndsWith("is younger than that file, so it is another's"));
  EXPECT_TRUE(IsFast(next));
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  EXPECT_THAT(Look(by_file), testing::EndsWith("there is no number in that file"));
  std::filesystem::remove(path);
}

TEST_P(FollowTest, TheAgentsOwnNetworkIsNotTakenForAServices) {
  chaos::v1::Target target = ServerTarget();
  target.set_interface("lo");
  target.set_netns("pid:" + std::to_string(getpid()));
  EXPECT_THAT(Look(target), HasSubstr("that is the agent's own network namespace"));
  // Named by its file it may be meant, and is the whole host all the same.
  target.set_netns("/proc/self/ns/net");
  network_->InServer([&] {
    target.set_interface(Network::kInterface);
    EXPECT_EQ(Look(target), "");
    EXPECT_THAT(ToString(TryArm(Loss(100)).message()), HasSubstr("whole_host=true"));
    driver_->SetTargets({});
  });
}

TEST_P(FollowTest, WhatIsNoNamespaceIsTold) {
  chaos::v1::Target target = ServerTarget();
  target.set_netns("/proc/version");
  EXPECT_EQ(Look(target), "netns '/proc/version': /proc/version is no network namespace");
  target.set_netns("fl-nowhere");
  EXPECT_EQ(Look(target),
            "netns 'fl-nowhere': /run/netns/fl-nowhere cannot be opened: No such file or "
            "directory (errno 2)");
  target.set_netns("cgroup:/fl-nowhere");
  EXPECT_EQ(Look(target), "netns 'cgroup:/fl-nowhere': there is no such cgroup (v2)");
}

INSTANTIATE_TEST_SUITE_P(Modes, FollowTest,
                         testing::Values(bpf::AttachMode::kTcx, bpf::AttachMode::kClsact),
                         [](const auto& mode) {
                           return mode.param == bpf::AttachMode::kTcx ? "Tcx" : "Clsact";
                         });

}  // namespace
}  // namespace faultline::netns_test
