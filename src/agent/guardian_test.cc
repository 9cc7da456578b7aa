#include "agent/guardian.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "base/log_testing.h"
#include "faults/driver.h"

namespace faultline::agent {
namespace {

// A lease page in plain shared memory, a journal, and a mark that undoing leaves.
class GuardianTest : public testing::Test {
 protected:
  GuardianTest() {
    // The guardians of killed agents become this process's children.
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    char pattern[] = "/tmp/guardian_XXXXXX";
    folder_ = mkdtemp(pattern);
    map_fd_ = memfd_create("page", MFD_CLOEXEC);
    EXPECT_EQ(ftruncate(map_fd_, 4096), 0);
    page_ = static_cast<faults::LeasePage*>(
        mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd_, 0));
    page_->heartbeat_until_ns = 77;
    page_->control_until_ns = 88;
  }
  ~GuardianTest() override {
    munmap(page_, 4096);
    close(map_fd_);
    std::filesystem::remove_all(folder_);
  }
  std::string journal_path() const { return folder_ + "/undo.journal"; }
  std::string mark_path() const { return folder_ + "/undone"; }

  Guardian::Options Options() const {
    return {journal_path(), -1, [mark = mark_path()](const std::string& kind, const auto&) {
              const int fd = open((mark + "." + kind).c_str(), O_CREAT | O_WRONLY, 0600);
              close(fd);
              return absl::OkStatus();
            }};
  }

  using Armed = std::set<faults::FaultKey>;

  // A process that holds the agent's end, like an agent that has armed this one after the other;
  // result: its pid and its guardian's.
  std::pair<pid_t, pid_t> StartHolder(const std::vector<Armed>& armed = {}) {
    int pipe_fds[2];
    EXPECT_EQ(pipe(pipe_fds), 0);
    const pid_t holder = fork();
    if (holder == 0) {
      auto guardian = Guardian::Fork(Options());
      auto journal = UndoJournal::Open(journal_path());
      const bool ok = guardian.ok() && (*guardian)->WatchPage(map_fd_).ok() && journal.ok() &&
                      (*journal)->Record("deed", {}).ok();
      for (const Armed& now : armed) (*guardian)->SetArmed(now);
      const pid_t pid = ok ? (*guardian)->pid() : -1;
      if (write(pipe_fds[1], &pid, sizeof pid) < 0) _exit(1);
      while (true) pause();
    }
    pid_t guardian = -1;
    EXPECT_EQ(read(pipe_fds[0], &guardian, sizeof guardian), static_cast<ssize_t>(sizeof guardian));
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    EXPECT_GT(guardian, 0);
    return {holder, guardian};
  }

  std::string folder_;
  int map_fd_ = -1;
  faults::LeasePage* page_ = nullptr;
};

TEST_F(GuardianTest, ZeroesTheHeartbeatAndUndoesTheJournalWhenTheAgentIsKilled) {
  const auto [holder, guardian] = StartHolder();
  kill(holder, SIGKILL);
  waitpid(holder, nullptr, 0);
  int status = 0;
  ASSERT_EQ(waitpid(guardian, &status, 0), guardian);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_EQ(page_->heartbeat_until_ns, 0u);
  EXPECT_EQ(page_->control_until_ns, 88u);
  EXPECT_TRUE(std::filesystem::exists(mark_path() + ".deed"));
  EXPECT_EQ((*UndoJournal::Open(journal_path()))->size(), 0u);
}

TEST_F(GuardianTest, TellsWhichFaultsEndedWithTheAgent) {
  Armed many;
  for (uint32_t i = 0; i < 500; ++i) many.insert({"e2", i, "host/b"});
  const auto run = [&](const std::vector<Armed>& armed) {
    return LoggedLines([&] {
      const auto [holder, guardian] = StartHolder(armed);
      kill(holder, SIGKILL);
      waitpid(holder, nullptr, 0);
      EXPECT_EQ(waitpid(guardian, nullptr, 0), guardian);
    });
  };
  const auto lines = run({many, {{"e1", 1, "host/a"}, {"e2", 7, "host/b"}}, {{"e1", 1, "host/a"}}});
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0], "I 1 of 1 records of the undo journal are undone");
  EXPECT_EQ(lines[1],
            "W experiment e1 fault 1 on host/a: ended by the guardian: the agent is gone "
            "experiment_id=e1 target_id=host/a");
  EXPECT_EQ(run({many}).size(), 501u);
  EXPECT_EQ(run({many, {}}).size(), 1u) << "an agent that has ended in order";
}

TEST_F(GuardianTest, OneThatWasBehindIsToldTheRest) {
  Armed many;
  const std::string target = "host/" + std::string(200, 'x');
  for (uint32_t i = 0; i < 4'096; ++i) many.insert({"e2", i, target});
  const auto run = [&](const Armed& last, auto tell) {
    return LoggedLines([&] {
      auto guardian = *Guardian::Fork(Options());
      kill(guardian->pid(), SIGSTOP);
      waitpid(guardian->pid(), nullptr, WUNTRACED);
      guardian->SetArmed(many);
      EXPECT_FALSE(guardian->told());
      kill(guardian->pid(), SIGCONT);
      guardian->SetArmed(last);
      tell(*guardian);
      EXPECT_TRUE(guardian->told());
    });
  };
  const auto flush = [](Guardian& guardian) { guardian.Flush(std::chrono::minutes(1)); };
  EXPECT_EQ(run(many, flush).size(), many.size());
  EXPECT_EQ(run({}, flush).size(), 0u) << "an agent that has ended in order";
  const auto each_second = [](Guardian& guardian) {
    for (int i = 0; i < 60'000 && !guardian.told(); ++i) {
      EXPECT_FALSE(*guardian.Revive());
      usleep(1'000);
    }
  };
  EXPECT_EQ(run({}, each_second).size(), 0u);
}

TEST_F(GuardianTest, WaitsForNoneThatHasDied) {
  auto guardian = *Guardian::Fork(Options());
  kill(guardian->pid(), SIGKILL);
  waitid(P_PID, static_cast<id_t>(guardian->pid()), nullptr, WEXITED | WNOWAIT);
  guardian->SetArmed({{"e1", 0, "host/a"}});
  guardian->Flush(std::chrono::hours(24));
  EXPECT_FALSE(guardian->told());
}

TEST_F(GuardianTest, OutlivesSignalsMeantForTheAgentsGroup) {
  const auto [holder, guardian] = StartHolder();
  // Its own session is the last thing that it sees to before it waits.
  while (getsid(guardian) == getsid(holder)) usleep(1'000);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) kill(guardian, number);
  usleep(20'000);
  EXPECT_EQ(kill(guardian, 0), 0);
  EXPECT_EQ(page_->heartbeat_until_ns, 77u);
  kill(holder, SIGKILL);
  waitpid(holder, nullptr, 0);
  EXPECT_EQ(waitpid(guardian, nullptr, 0), guardian);
}

TEST_F(GuardianTest, EndsWithItsAgentAndLeavesNothing) {
  auto guardian = Guardian::Fork(Options());
  ASSERT_TRUE(guardian.ok()) << guardian.status();
  const pid_t pid = (*guardian)->pid();
  EXPECT_FALSE(*(*guardian)->Revive());
  guardian->reset();
  EXPECT_NE(kill(pid, 0), 0);
}

}  // namespace
}  // namespace faultline::agent
