#include "faults/network/waiter.h"

#include <sys/epoll.h>
#include <time.h>

#include <algorithm>
#include <limits>

#include "base/clock.h"

namespace faultline::network {
namespace {

inline void Relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

void Waiter::WaitUntil(int epoll_fd, uint64_t moment_ns) {
  const uint64_t now_ns = BoottimeNowNs();
  if (last_ns_ != 0) {
    saved_ns_ = std::min(saved_ns_ + static_cast<double>(now_ns - last_ns_) * kSpinShare,
                         static_cast<double>(kMaxSavedNs));
  }
  last_ns_ = now_ns;
  if (moment_ns <= now_ns) return;
  const uint64_t spin_ns = std::clamp(2 * lateness_ns_, kMinSpinNs, kMaxSpinNs);
  if (saved_ns_ < static_cast<double>(spin_ns)) {
    Sleep(epoll_fd, now_ns, moment_ns);
  } else if (moment_ns - now_ns > spin_ns) {
    Sleep(epoll_fd, now_ns,
          moment_ns == std::numeric_limits<uint64_t>::max() ? moment_ns : moment_ns - spin_ns);
  } else {
    Spin(now_ns, moment_ns);
  }
}

void Waiter::Nap(uint64_t moment_ns) {
  const uint64_t end_ns = std::min(moment_ns, BoottimeNowNs() + kNapNs);
  const timespec end{static_cast<time_t>(end_ns / kNanosPerSecond),
                     static_cast<long>(end_ns % kNanosPerSecond)};
  clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &end, nullptr);
}

void Waiter::Sleep(int epoll_fd, uint64_t now_ns, uint64_t until_ns) {
  const bool forever = until_ns == std::numeric_limits<uint64_t>::max();
  const uint64_t sleep_ns = until_ns - now_ns;
  const timespec timeout{static_cast<time_t>(sleep_ns / kNanosPerSecond),
                         static_cast<long>(sleep_ns % kNanosPerSecond)};
  epoll_event event{};
  if (epoll_pwait2(epoll_fd, &event, 1, forever ? nullptr : &timeout, nullptr) != 0) return;
  const uint64_t woke_ns = BoottimeNowNs();
  const uint64_t late_ns = woke_ns > until_ns ? woke_ns - until_ns : 0;
  // A stolen CPU wakes us milliseconds late now and then: that says nothing about the next time.
  lateness_ns_ = (7 * lateness_ns_ + std::min(late_ns, kMaxSpinNs)) / 8;
}

void Waiter::Spin(uint64_t now_ns, uint64_t until_ns) {
  saved_ns_ -= static_cast<double>(until_ns - now_ns);
  while (BoottimeNowNs() < until_ns) Relax();
}

}  // namespace faultline::network
