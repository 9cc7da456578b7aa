// A node that gives up is a violation: nothing that goes wrong in a simulated world makes one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/log.h"
#include "control/version.h"
#include "sim/controller.h"

namespace faultline::sim {
namespace {

constexpr char kAddress[] = "n1:1";
constexpr char kDir[] = "the-disk-of-n1";

TEST(ANodeThatStopsForGood, IsAViolation) {
  SilenceLog();
  World world(1);
  Network network(&world);
  Referee referee(&world);
  Disk disk(&world, kDir);
  disk.on_write = [&](const raft::LogWrite& write) { referee.OnWrite(1, write); };
  referee.AddDisk(1, &disk);
  const HostId host = world.AddHost("n1");
  Directory directory;
  directory.nodes[1].host = host;
  directory.listeners[kAddress] = 1;
  std::unique_ptr<Controller>& controller = directory.nodes[1].controller;
  ControllerOptions options;
  options.node_id = 1;
  options.members = {{1, kAddress}};
  options.data_dir = kDir;
  options.seed = 1;
  world.BeginLife(host);
  world.On(host, [&] {
    controller = std::make_unique<Controller>(options, &world, &network, &directory, &referee);
    const Status started = controller->Start();
    EXPECT_TRUE(started.ok()) << started;
  });
  const auto leads = [&] { return controller->view().role == raft::Role::kLeader; };
  EXPECT_TRUE(world.RunUntil(world.now_ns() + 10 * kSecond, leads));
  EXPECT_EQ(referee.violation(), "");

  control::v1::Command unknown;
  unknown.set_version(control::kNewestVersion + 1);
  world.On(host,
           [&] { controller->node()->Propose(unknown.SerializeAsString(), [](const auto&) {}); });
  const auto violated = [&] { return !referee.violation().empty(); };
  world.RunUntil(world.now_ns() + 10 * kSecond, violated);
  EXPECT_THAT(referee.violation(), testing::HasSubstr("node 1 has stopped for good"));
  world.On(host, [&] { controller.reset(); });
}

}  // namespace
}  // namespace faultline::sim
