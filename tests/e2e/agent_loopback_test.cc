// The settings that a delay on loopback needs go back, whoever is left to do it.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <fstream>

#include "bpf/fd.h"
#include "e2e/agent_fixture.h"

namespace faultline::e2e {
namespace {

using chaos::v1::TARGET_PHASE_ACTIVE;
using chaos::v1::TARGET_PHASE_REVERTED;

constexpr char kAsMade[] = "0\n0";
constexpr char kOurs[] = "1\n1";

class AgentLoopback : public AgentFixture {
 protected:
  void SetUp() override {
    AgentFixture::SetUp();
    if (!net_) return;
    std::ofstream(config_, std::ios::app)
        << "- name: local\n  interface: lo\n  netns: " << net_->service() << "\n";
    target_id_ = "e2e/local";
    ASSERT_EQ(Settings(), kAsMade);
    StartAgent();
    Desire(2, {"e1"});
    AwaitPhase("e1", TARGET_PHASE_ACTIVE);
    ASSERT_EQ(Settings(), kOurs);
  }
  std::string Settings() const {
    return Shell("ip netns exec " + net_->service() +
                 " sysctl -n net.ipv4.conf.lo.route_localnet net.ipv4.conf.lo.accept_local");
  }
  // An experiment that was never wanted before.
  std::vector<std::string> Fresh() {
    last_ = "fresh-" + std::to_string(++fresh_);
    return {last_};
  }
  std::string last_;
  int fresh_ = 0;

  bool AwaitAsMade() const {
    return Eventually([&] { return Settings() == kAsMade; }, std::chrono::minutes(1));
  }
  // With nobody left who undoes anything: an agent that lives on would start another guardian.
  void KillAgentAndGuardian() {
    const pid_t guardian = GuardianPid();
    agent_->Signal(SIGSTOP);
    kill(guardian, SIGKILL);
    agent_->Signal(SIGKILL);
    agent_->Wait();
  }
};

TEST_F(AgentLoopback, AtTheRevert) {
  Desire(3, {});
  AwaitPhase("e1", TARGET_PHASE_REVERTED);
  EXPECT_TRUE(AwaitAsMade());
}

TEST_F(AgentLoopback, WhenTheAgentIsToldToEnd) {
  agent_->Signal(SIGTERM);
  AwaitPhase("e1", TARGET_PHASE_REVERTED);
  EXPECT_EQ(agent_->Wait(), 0);
  EXPECT_EQ(Settings(), kAsMade);
}

TEST_F(AgentLoopback, ByTheGuardianOfAKilledAgent) {
  agent_->Signal(SIGKILL);
  agent_->Wait();
  EXPECT_TRUE(AwaitAsMade());
}

TEST_F(AgentLoopback, ByTheNextStartWhenTheGuardianWasKilledToo) {
  KillAgentAndGuardian();
  EXPECT_EQ(Settings(), kOurs) << "nobody is left to restore them";
  StartAgent();
  EXPECT_EQ(Settings(), kAsMade);
}

// The deed's undo is on a disk that is full when the agent dies.
class AgentFullDisk : public AgentLoopback {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(state());
    ASSERT_EQ(Shell("mount -t tmpfs -o size=64k tmpfs " + state() + " 2>&1"), "");
    AgentLoopback::SetUp();
  }
  void TearDown() override {
    AgentLoopback::TearDown();
    Shell("umount -l " + state());
  }
  std::string state() const { return folder_.path() + "/state"; }
  void Fill() const { Shell("cat /dev/zero > " + state() + "/rest 2>/dev/null"); }
};

TEST_F(AgentFullDisk, TheGuardianUndoesWhatIsThere) {
  Fill();
  agent_->Signal(SIGKILL);
  agent_->Wait();
  EXPECT_TRUE(AwaitAsMade());
}

TEST_F(AgentFullDisk, TheNextStartUndoesWhatIsThere) {
  Fill();
  KillAgentAndGuardian();
  EXPECT_EQ(Settings(), kOurs);
  StartAgent();
  EXPECT_EQ(Settings(), kAsMade);
}

// Somebody makes the kernel's settings read-only for the agent and its guardian, for a while.
class AgentReadOnlySettings : public AgentLoopback {
 protected:
  void SetUp() override {
    wrapper_ = {"/usr/bin/unshare", "--mount"};
    AgentLoopback::SetUp();
    if (!net_) return;
    guardian_ = GuardianPid();
    const std::string mounts = "/proc/" + std::to_string(agent_->pid()) + "/ns/mnt";
    mounts_ = bpf::UniqueFd(open(mounts.c_str(), O_RDONLY | O_CLOEXEC));
    ASSERT_TRUE(mounts_.valid()) << mounts;
  }
  // In the mount namespace of the agent and its guardian, which may be gone.
  std::string InMounts(const std::string& command) const {
    return Shell(
        fmt::format("nsenter --mount=/proc/{}/fd/{} {} 2>&1", getpid(), mounts_.get(), command));
  }
  void Forbid() const {
    ASSERT_EQ(InMounts("mount --bind /proc/sys /proc/sys"), "");
    ASSERT_EQ(InMounts("mount -o remount,bind,ro /proc/sys"), "");
  }
  void Allow() const { EXPECT_EQ(InMounts("umount /proc/sys"), ""); }
  std::string Left() const {
    const auto status = agent::AskStatus(socket_path());
    if (!status.ok()) return ToString(status.status().message());
    std::string text;
    for (const std::string& sentence : status->left_behind()) text += sentence + "\n";
    return text;
  }
  template <typename Condition>
  static bool InAMinute(const Condition& holds) {
    return Eventually(holds, std::chrono::minutes(1));
  }

  pid_t guardian_ = -1;
  bpf::UniqueFd mounts_;
};

TEST_F(AgentReadOnlySettings, IsToldAndTheAgentTriesAgain) {
  Forbid();
  Desire(3, {});
  AwaitPhase("e1", TARGET_PHASE_REVERTED);
  constexpr char kWhy[] =
      "kernel setting net.ipv4.conf.lo.route_localnet cannot be set: Read-only file system (errno "
      "30)\n"
      "kernel setting net.ipv4.conf.lo.accept_local cannot be set: Read-only file system (errno "
      "30)\n";
  EXPECT_TRUE(InAMinute([&] { return Left() == kWhy; })) << Left();
  EXPECT_EQ(Settings(), kOurs);
  Allow();
  EXPECT_TRUE(InAMinute([&] { return Left().empty(); })) << Left();
  EXPECT_EQ(Settings(), kAsMade);
}

TEST_F(AgentReadOnlySettings, AreTheNextFaultsWhileItHoldsThem) {
  Forbid();
  Desire(3, {});
  AwaitPhase("e1", TARGET_PHASE_REVERTED);
  EXPECT_TRUE(InAMinute([&] { return !Left().empty(); }));
  Desire(4, {"e2"});
  AwaitPhase("e2", TARGET_PHASE_ACTIVE);
  EXPECT_EQ(Left(), "") << "they are in use again";
  Allow();
  // Longer than it takes to try again.
  usleep(1'500'000);
  EXPECT_EQ(Settings(), kOurs);
  Desire(5, {});
  AwaitPhase("e2", TARGET_PHASE_REVERTED);
  EXPECT_TRUE(AwaitAsMade());
}

TEST_F(AgentReadOnlySettings, AndTheGuardianOfAKilledAgentTriesAgain) {
  Forbid();
  agent_->Signal(SIGKILL);
  agent_->Wait();
  const auto told = [&] {
    return Shell("grep -c 'cannot be undone, and is tried again' " + log_path()) == "2";
  };
  EXPECT_TRUE(InAMinute(told)) << Shell("cat " + log_path());
  EXPECT_EQ(Settings(), kOurs);
  Allow();
  // It gives up after a while, and leaves the rest to the next agent.
  EXPECT_TRUE(InAMinute([&] { return Settings() == kAsMade || !Exists(guardian_); }));
  if (Settings() != kAsMade) StartAgent();
  EXPECT_EQ(Settings(), kAsMade) << Shell("cat " + log_path());
}

// Kills at moments when something is being armed, reverted or written down.
TEST_F(AgentLoopback, WhateverTheMomentOfTheKill) {
  uint64_t revision = 3;
  for (int round = 0; round < 12; ++round) {
    const bool guardian_too = round % 3 == 2;
    const pid_t guardian = GuardianPid();
    for (int change = 0; change < 4; ++change) {
      Desire(revision++, change % 2 == 0 ? std::vector<std::string>{} : Fresh());
      usleep(static_cast<useconds_t>(round * 1'700 % 9'000));
    }
    if (guardian_too) kill(guardian, SIGKILL);
    agent_->Signal(SIGKILL);
    agent_->Wait();
    const bool restored = guardian_too || AwaitAsMade();
    EXPECT_TRUE(restored) << "round " << round;
    StartAgent();
    EXPECT_EQ(Settings(), kAsMade) << "round " << round;
    Desire(revision++, Fresh());
    AwaitPhase(last_, TARGET_PHASE_ACTIVE);
    EXPECT_EQ(Settings(), kOurs) << "round " << round;
  }
}

}  // namespace
}  // namespace faultline::e2e
