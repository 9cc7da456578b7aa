// Time-outs of calls, of which nearly all are answered long before: to add and to remove one wakes
// no thread.
//
// Threads: every method may be called from any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <utility>

#include "base/strand.h"

namespace faultline::server {

class Deadlines {
 public:
  using Handle = std::pair<uint64_t, uint64_t>;  // when, and which of them

  // `timers` outlives the object, which outlives its tasks there.
  explicit Deadlines(Strand* timers) : timers_(timers) {}

  // Runs `task` on the strand once `when_ns` (CLOCK_MONOTONIC) has passed, unless it was removed.
  Handle Add(uint64_t when_ns, std::function<void()> task);
  void Remove(const Handle& handle);

 private:
  void Arm(uint64_t when_ns);
  void RunDue();

  Strand* const timers_;
  std::mutex mutex_;
  std::map<Handle, std::function<void()>> tasks_;
  uint64_t next_ = 0;
  uint64_t armed_ns_ = UINT64_MAX;  // the earliest time at which RunDue comes
};

}  // namespace faultline::server
