#include "agent/host_lock.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <optional>

namespace faultline::agent {
namespace {

class HostLockTest : public testing::Test {
 protected:
  HostLockTest() {
    char pattern[] = "/tmp/host_lock_XXXXXX";
    folder_ = mkdtemp(pattern);
  }
  ~HostLockTest() override { std::filesystem::remove_all(folder_); }
  std::string folder_;
};

TEST_F(HostLockTest, ASecondAgentIsRefusedWithASentence) {
  const auto first = LockHost(folder_ + "/state");
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = LockHost(folder_ + "/state");
  EXPECT_EQ(second.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(
      ToString(second.status().message()),
      "another faultline-agent runs on this host (it holds " + folder_ + "/state/agent.lock)");
}

TEST_F(HostLockTest, TheNextAgentMayRunOnceTheFirstHasEnded) {
  {
    ASSERT_TRUE(LockHost(folder_).ok());
  }
  EXPECT_TRUE(LockHost(folder_).ok());
}

TEST_F(HostLockTest, WaitsForTheGuardianThatStillHoldsTheJournal) {
  std::optional<FileLock> journal = *FileLock::Take(folder_ + "/journal.lock", 0);
  // Like a guardian: a process that inherits the journal's lock and gives it up a little later.
  const pid_t guardian = fork();
  if (guardian == 0) {
    usleep(100'000);
    _exit(0);
  }
  journal.reset();
  EXPECT_TRUE(LockHost(folder_).ok());
  EXPECT_EQ(waitpid(guardian, nullptr, 0), guardian);
}

TEST_F(HostLockTest, TheStateFolderIsForRootAlone) {
  ASSERT_TRUE(LockHost(folder_ + "/a/b").ok());
  struct stat info{};
  ASSERT_EQ(stat((folder_ + "/a/b").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

}  // namespace
}  // namespace faultline::agent
