// Waiting for what has to come, in tests.
#pragma once

#include <chrono>
#include <thread>

namespace faultline {

// Asks again and again, with that pause between, whether it holds; false when it does not within
// `patience`. The last time it is asked is after that, however long the machine stood still.
template <typename Condition>
bool HoldsWithin(std::chrono::nanoseconds patience, std::chrono::nanoseconds pause,
                 const Condition& holds) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!holds()) {
    if (std::chrono::steady_clock::now() >= until) return false;
    std::this_thread::sleep_for(pause);
  }
  return true;
}

}  // namespace faultline
