#include "agent/host_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <utility>

#include "base/clock.h"

namespace faultline::agent {

StatusOr<FileLock> FileLock::Take(const std::string& path, uint64_t wait_ms) {
  FileLock lock(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (lock.fd_ < 0) {
    return MakeError(StatusCode::kInternal, "{}: cannot be opened: {}", path, ErrnoText(errno));
  }
  const uint64_t give_up_ns = MonotonicNowNs() + wait_ms * kNanosPerMilli;
  while (flock(lock.fd_, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      return MakeError(StatusCode::kInternal, "{}: cannot be locked: {}", path, ErrnoText(errno));
    }
    if (MonotonicNowNs() >= give_up_ns) {
      return MakeError(StatusCode::kUnavailable, "{}: locked by another process", path);
    }
    usleep(5'000);
  }
  return lock;
}

FileLock::FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

FileLock::~FileLock() {
  if (fd_ >= 0) close(fd_);
}

StatusOr<HostLocks> LockHost(const std::string& state_dir) {
  std::error_code error;
  std::filesystem::create_directories(state_dir, error);
  if (error || chmod(state_dir.c_str(), 0700) != 0) {
    return MakeError(StatusCode::kFailedPrecondition, "{}: cannot be made the state folder: {}",
                     state_dir, error ? error.message() : ErrnoText(errno));
  }
  // A killed agent holds its lock until the kernel has taken its devices down.
  auto agent = FileLock::Take(state_dir + "/agent.lock", 500);
  if (absl::IsUnavailable(agent.status())) {
    return MakeError(StatusCode::kFailedPrecondition,
                     "another faultline-agent runs on this host (it holds {}/agent.lock)",
                     state_dir);
  }
  if (!agent.ok()) return agent.status();
  auto journal = FileLock::Take(state_dir + "/journal.lock", 15'000);
  if (absl::IsUnavailable(journal.status())) {
    return MakeError(StatusCode::kFailedPrecondition,
                     "the guardian of an agent that died is still undoing its work (it holds "
                     "{}/journal.lock)",
                     state_dir);
  }
  if (!journal.ok()) return journal.status();
  return HostLocks{*std::move(agent), *std::move(journal)};
}

}  // namespace faultline::agent
