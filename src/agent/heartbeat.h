// The agent's sign of life to the kernel: a thread that moves heartbeat_until_ns on, as long as the
// agent's strand is alive too.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

#include "base/meter.h"
#include "faults/driver.h"

namespace faultline::agent {

class Heartbeat {
 public:
  // A strand that has not said Alive() for so long is wedged, and the heartbeat is let run out. It
  // says so at each beat, five times a second at the least, and after each fault or target of many:
  // not while one system call hangs.
  static constexpr uint64_t kStrandPatienceNs = 1'000'000'000;

  // Begins at once, with the strand taken as alive: each quarter of `heartbeat_ns`, the page's
  // heartbeat_until_ns becomes now + heartbeat_ns. `page` outlives the object.
  Heartbeat(faults::LeasePage* page, uint64_t heartbeat_ns);
  // Ends the heartbeat at once: the page says 0.
  ~Heartbeat();

  // The strand lives. From any thread.
  void Alive();

  // Times that the page was moved on. From any thread.
  uint64_t beats() const { return beats_.value(); }

 private:
  void Beat();

  faults::LeasePage* const page_;
  const uint64_t heartbeat_ns_;
  std::atomic<uint64_t> alive_ns_;
  Counter beats_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopped_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace faultline::agent
