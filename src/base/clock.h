// Clocks, each by the name of what it is for. All return nanoseconds, but for UnixNowMs; all are
// safe from any thread.
#pragma once

#include <cstdint>
#include <ctime>

namespace faultline {

inline constexpr uint64_t kNanosPerMilli = 1'000'000;
inline constexpr uint64_t kNanosPerSecond = 1'000'000'000;

inline uint64_t ReadClock(clockid_t id) {
  timespec ts{};
  clock_gettime(id, &ts);
  return static_cast<uint64_t>(ts.tv_sec) * kNanosPerSecond + static_cast<uint64_t>(ts.tv_nsec);
}

// Monotonic, stops in suspend: for timers and measuring within a process.
inline uint64_t MonotonicNowNs() { return ReadClock(CLOCK_MONOTONIC); }

// Monotonic, goes on in suspend: leases and deadlines; equals bpf_ktime_get_boot_ns().
inline uint64_t BoottimeNowNs() { return ReadClock(CLOCK_BOOTTIME); }

// Unix time, for people and for what outlives a boot; may step.
inline int64_t UnixNowNs() { return static_cast<int64_t>(ReadClock(CLOCK_REALTIME)); }
inline int64_t UnixNowMs() { return UnixNowNs() / static_cast<int64_t>(kNanosPerMilli); }

}  // namespace faultline
