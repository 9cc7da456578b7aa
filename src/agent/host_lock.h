// One agent owns a host: locks on files in its state folder.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"

namespace faultline::agent {

// An flock(2) held as long as the object (and every copy of its descriptor in another process)
// lives.
class FileLock {
 public:
  // Makes the file if needed. UNAVAILABLE when another process still holds it after `wait_ms`.
  static StatusOr<FileLock> Take(const std::string& path, uint64_t wait_ms);
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  ~FileLock();
  int fd() const { return fd_; }

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_;
};

// Two locks: `agent` is the agent's alone. `journal` is shared with the guardian, so that a new
// agent waits until the old one's guardian has undone everything.
struct HostLocks {
  FileLock agent;
  FileLock journal;
};

// Makes `state_dir` (mode 0700). FAILED_PRECONDITION with a sentence when another agent runs.
StatusOr<HostLocks> LockHost(const std::string& state_dir);

}  // namespace faultline::agent
