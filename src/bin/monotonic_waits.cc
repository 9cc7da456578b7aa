// In each of the programs this stands in front of the C library's syscall(2), through which abseil
// waits: until a time of the Unix clock. A wait that is under way when that clock is set back would
// last so much longer, and gRPC's timers wait that way: for deadlines of calls, signs of life and
// the next attempt to connect. Here it lasts as long as was left when it began, whatever the clock
// is set to (docs/decisions/0052-monotonic-waits.md).
//
// Allocators come through here while they start: nothing in this file allocates memory, and nothing
// but the first call's question to the loader takes a lock.
#include <dlfcn.h>
#include <linux/futex.h>
#include <sys/syscall.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <ctime>

#include "base/clock.h"

namespace {

constexpr int64_t kNanos = faultline::kNanosPerSecond;
constexpr time_t kForever = 9'000'000'000;  // later ones are too large in nanoseconds

using SystemCall = long(long number, long, long, long, long, long, long);

SystemCall* Next() {
  static constinit std::atomic<SystemCall*> known{nullptr};
  SystemCall* next = known.load(std::memory_order_relaxed);
  if (next == nullptr) {
    next = reinterpret_cast<SystemCall*>(dlsym(RTLD_NEXT, "syscall"));
    known.store(next, std::memory_order_relaxed);
  }
  return next;
}

bool WaitsByUnixClock(long number, long operation) {
  return number == SYS_futex && (operation & FUTEX_CLOCK_REALTIME) != 0 &&
         (operation & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET;
}

// What CLOCK_MONOTONIC shows at that Unix time, as the two clocks stand now.
timespec ToMonotonic(const timespec& unix_time) {
  const int64_t left_ns =
      std::min(unix_time.tv_sec, kForever) * kNanos + unix_time.tv_nsec - faultline::UnixNowNs();
  const int64_t then_ns =
      std::max<int64_t>(static_cast<int64_t>(faultline::MonotonicNowNs()) + left_ns, 0);
  return {then_ns / kNanos, then_ns % kNanos};
}

}  // namespace

// Takes as many arguments as any call has: those that were not given are handed on, and looked at
// by nobody.
extern "C" long InsteadOfSyscall(long number, long a, long b, long c, long d, long e,
                                 long f) __asm__("syscall");

long InsteadOfSyscall(long number, long a, long b, long c, long d, long e, long f) {
  if (!WaitsByUnixClock(number, b) || d == 0) return Next()(number, a, b, c, d, e, f);
  const timespec until = ToMonotonic(*reinterpret_cast<const timespec*>(d));
  return Next()(number, a, b & ~FUTEX_CLOCK_REALTIME, c, reinterpret_cast<long>(&until), e, f);
}
