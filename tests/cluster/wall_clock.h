// The wall clock of a process under test, and no other clock of it: it is set while the process
// runs, as an operator or NTP would.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/cluster/process.h"

namespace faultline::cluster {

class WallClock {
 public:
  // Shows the machine's time. Outlives the process. Without a place for its file the test ends.
  WallClock();
  ~WallClock();
  WallClock(const WallClock&) = delete;
  WallClock& operator=(const WallClock&) = delete;

  // What makes a process go by it: entries of its environment, as NAME=value.
  std::vector<std::string> environment() const;
  // From now on it is so much ahead of the machine's; below 0 it is behind.
  void Set(std::chrono::nanoseconds ahead);

 private:
  std::string File() const { return directory_.path() + "/ahead_ns"; }

  const TempDir directory_;
  std::atomic<int64_t>* ahead_ns_;  // in the file, which the process maps too
};

}  // namespace faultline::cluster
