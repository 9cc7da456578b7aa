// Waiting for a moment more exactly than the kernel's timers wake: sleep until shortly before, then
// spin, as long as a budget of CPU time lasts.
#pragma once

#include <cstdint>

namespace faultline::network {

// Used by one thread.
class Waiter {
 public:
  // Longest spin for one moment, and share of one CPU that may be spun away in the long run.
  static constexpr uint64_t kMaxSpinNs = 200'000;
  static constexpr uint64_t kMinSpinNs = 20'000;
  static constexpr double kSpinShare = 0.5;
  static constexpr uint64_t kMaxSavedNs = 20'000'000;
  // Longest nap.
  static constexpr uint64_t kNapNs = 100'000;

  // Returns when `moment_ns` (CLOCK_BOOTTIME; UINT64_MAX is never) has come, or earlier when
  // something is ready on the epoll descriptor.
  void WaitUntil(int epoll_fd, uint64_t moment_ns);
  // Sleeps until the moment, which then is met as exactly as the kernel's timers do, or for kNapNs,
  // whatever becomes ready meanwhile.
  static void Nap(uint64_t moment_ns);

 private:
  void Sleep(int epoll_fd, uint64_t now_ns, uint64_t until_ns);
  void Spin(uint64_t now_ns, uint64_t until_ns);

  uint64_t lateness_ns_ = 50'000;  // how late timers wake us, a running mean
  double saved_ns_ = 0;            // CPU time that may be spun away
  uint64_t last_ns_ = 0;
};

}  // namespace faultline::network
