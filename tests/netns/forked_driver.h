// A driver in a process of its own, for tests of what is left when that is killed.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>

#include "netns/harness.h"

namespace faultline::netns_test {

class ForkedDriver {
 public:
  // Runs `arm` in a new process, which then waits for its end: there a fixture's members are copies
  // of those here, where its driver must have gone. Returns when all is armed; the test fails if
  // that failed. `undo` is the fixture's journal.
  ForkedDriver(const MemoryUndoLog& undo, const std::function<void()>& arm);
  ~ForkedDriver() { Kill(); }
  ForkedDriver(const ForkedDriver&) = delete;
  ForkedDriver& operator=(const ForkedDriver&) = delete;

  // With SIGKILL. It has ended when this returns.
  void Kill();

  // What its journal held when all was armed.
  const std::map<uint64_t, MemoryUndoLog::Record_>& journal() const { return journal_; }

 private:
  pid_t pid_ = -1;
  std::map<uint64_t, MemoryUndoLog::Record_> journal_;
};

}  // namespace faultline::netns_test
