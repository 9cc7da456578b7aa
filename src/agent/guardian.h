// The guardian: a small process that outlives the agent by the few milliseconds it takes to end
// what the agent did to the host.
//
// It holds the other end of a socket pair. The agent hands it the lease page's descriptor. When
// the agent's end closes, whatever the reason, the guardian zeroes heartbeat_until_ns (the kernel
// program then passes every packet untouched), undoes what the undo journal holds, logs which
// faults ended so, and exits. After a clean end there is nothing left to do, and it does the same.
//
// A killed process's files are closed in ascending order of their numbers, but their release is
// queued as task work and runs in the reverse order: the highest number goes first. Measured on
// Linux 6.18 with five TAP devices in the process: the highest descriptor's peer sees the end
// after 1.0 to 1.6 ms, one opened before the devices after 66 to 97 ms. So the agent's end is moved
// to the highest number the process may use.
//
// The first guardian is forked before any thread exists. When a guardian dies, the agent starts a
// new one from its own program file (`faultline-agent guardian`, hidden), because a process with
// threads may not fork and go on.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "agent/undo_journal.h"
#include "base/status.h"
#include "faults/driver.h"

namespace faultline::agent {

class Guardian {
 public:
  struct Options {
    std::string journal_path;
    int journal_lock_fd = -1;  // kept open by the guardian until it ends; -1: none
    UndoFunction undo;
    // Of the program file, for a guardian that is started from it: how it logs.
    std::vector<std::string> flags = {};
  };

  // How long it tries to undo what cannot be undone at once, while the next agent waits.
  static constexpr std::chrono::milliseconds kUndoPatience{5'000};

  // Forks. Call it before the process has any other thread. The object must stay the only holder
  // of the agent's end.
  static StatusOr<std::unique_ptr<Guardian>> Fork(Options options);

  // Closes the agent's end, and waits for the guardian to end.
  ~Guardian();
  Guardian(const Guardian&) = delete;
  Guardian& operator=(const Guardian&) = delete;

  // Hands over the lease page's map; the caller keeps owning `map_fd`, which must stay open as
  // long as the guardian may have to be started again.
  Status WatchPage(int map_fd);

  // The faults that are armed now. Never blocks: what a guardian that is behind cannot be told yet,
  // Revive and Flush tell.
  void SetArmed(std::set<faults::FaultKey> armed);
  // Whether it has been told of all of them, and of no others.
  bool told() const { return armed_ == told_; }
  // Waits until it has, for so long at the most, and not for one that has died.
  void Flush(std::chrono::milliseconds patience);

  // Starts a new guardian if this one has died, and hands it all that. Cheap when it lives: call
  // it once a second. Result: whether a new one was started.
  StatusOr<bool> Revive();

  pid_t pid() const { return pid_; }

  // The guardian's life on its end `fd`, in a process of its own: closes every other descriptor but
  // standard error and `options.journal_lock_fd`. Result: exit code.
  static int Live(int fd, const Options& options);

 private:
  explicit Guardian(Options options) : options_(std::move(options)) {}
  Status MoveEndToTheTop();
  Status Spawn();
  // Tells how armed_ differs from told_.
  void TellArmed();

  const Options options_;
  int fd_ = -1;
  pid_t pid_ = -1;
  int map_fd_ = -1;  // not owned
  std::set<faults::FaultKey> armed_, told_;
};

// Descriptors in which a guardian started from the program file finds its socket and journal lock.
inline constexpr int kGuardianSocketFd = 3;
inline constexpr int kGuardianLockFd = 4;

}  // namespace faultline::agent
