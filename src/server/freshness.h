// Since when this node's state may be out of date: what the leader's answers to "how far is the log
// committed?" say about it. Any thread.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>

namespace faultline::server {

class Freshness {
 public:
  // Everything that was committed before `as_of_ns` (CLOCK_BOOTTIME) stands at or before
  // `revision`.
  void Learn(uint64_t as_of_ns, uint64_t revision);

  // A state that has applied `revision` holds everything that was committed before this time; 0:
  // nothing is known. Never goes back while `revision` does not.
  uint64_t CurrentAsOfNs(uint64_t revision);

 private:
  // More are not kept: a node that lags so far knows only the oldest ones, which is safe.
  static constexpr size_t kMaxSamples = 64;
  struct Sample {
    uint64_t as_of_ns = 0;
    uint64_t revision = 0;
  };

  std::mutex mutex_;
  std::deque<Sample> samples_;  // by revision; not reached yet
  uint64_t current_ns_ = 0;
};

}  // namespace faultline::server
