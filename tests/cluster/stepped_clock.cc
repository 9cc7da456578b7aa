// Preloaded into a program by tests: its wall clock (CLOCK_REALTIME) shows so many nanoseconds more
// than the machine's as the file named by FAULTLINE_CLOCK_FILE says at the moment, in 8 bytes that
// are mapped. All other clocks are left alone.
//
// What waits until a time of the wall clock waits by the one shown here, as it would by the
// kernel's if that were set: abseil, and so gRPC's timers, wait with FUTEX_CLOCK_REALTIME (but for
// src/bin/monotonic_waits.cc), and a step ends or prolongs such a wait while it is under way.
// libfaketime changes no futex: waits would last as many hours as the clock is ahead. What waits on
// a condition variable of the C library (RocksDB's background) keeps the time that it began with.
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdlib>
#include <ctime>

namespace {

constexpr int64_t kNanosPerSecond = 1'000'000'000;
// So often a wait that is under way looks whether its time has come.
constexpr int64_t kLookEveryNs = 20'000'000;
// Times that are later than this are the wall clock's: no machine has run for thirty years.
constexpr time_t kLongestUptime = 1'000'000'000;
constexpr time_t kForever = 9'000'000'000;  // later ones are too large in nanoseconds

// The function of that name that this library stands before. Nothing here allocates memory, or
// waits for what does: allocators ask for the time.
template <typename Function>
class Next {
 public:
  explicit constexpr Next(const char* name) : name_(name) {}
  Function* get() {
    Function* known = known_.load(std::memory_order_relaxed);
    if (known == nullptr) {
      known = reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name_));
      known_.store(known, std::memory_order_relaxed);
    }
    return known;
  }

 private:
  const char* const name_;
  std::atomic<Function*> known_{nullptr};
};

constinit Next<int(clockid_t, timespec*)> next_clock_gettime("clock_gettime");
constinit Next<long(long, ...)> next_syscall("syscall");
constinit Next<int(pthread_cond_t*, pthread_mutex_t*, const timespec*)> next_timedwait(
    "pthread_cond_timedwait");

int64_t ToNs(const timespec& time) {
  return std::min(time.tv_sec, kForever) * kNanosPerSecond + time.tv_nsec;
}

timespec ToTimespec(int64_t ns) {
  ns = std::max<int64_t>(ns, 0);
  return {static_cast<time_t>(ns / kNanosPerSecond), static_cast<long>(ns % kNanosPerSecond)};
}

// How far the clock is ahead; 0 without the file.
int64_t AheadNs() {
  static constinit std::atomic<const std::atomic<int64_t>*> mapped{nullptr};
  const std::atomic<int64_t>* ahead_ns = mapped.load(std::memory_order_acquire);
  if (ahead_ns == nullptr) {
    const char* path = std::getenv("FAULTLINE_CLOCK_FILE");
    const int fd = path != nullptr ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return 0;
    void* page = mmap(nullptr, sizeof *ahead_ns, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (page == MAP_FAILED) return 0;
    ahead_ns = static_cast<const std::atomic<int64_t>*>(page);
    mapped.store(ahead_ns, std::memory_order_release);  // of two threads either's is as good
  }
  return ahead_ns->load(std::memory_order_relaxed);
}

int64_t MachineNs() {
  timespec now{};
  next_clock_gettime.get()(CLOCK_REALTIME, &now);
  return ToNs(now);
}
int64_t ShownNs() { return MachineNs() + AheadNs(); }

// futex(2) with FUTEX_CLOCK_REALTIME until `until_ns`, as shown here. Whoever changes the word
// between two looks is noticed by the next, which compares it again.
long FutexWait(const long* arguments, int64_t until_ns) {
  for (;;) {
    const int64_t left_ns = until_ns - ShownNs();
    const timespec look = ToTimespec(MachineNs() + std::clamp<int64_t>(left_ns, 0, kLookEveryNs));
    const long result =
        next_syscall.get()(SYS_futex, arguments[0], arguments[1], arguments[2],
                           reinterpret_cast<long>(&look), arguments[4], arguments[5]);
    if (result == 0 || errno != ETIMEDOUT || left_ns <= kLookEveryNs) return result;
  }
}

bool WaitsByWallClock(int operation) {
  return (operation & FUTEX_CLOCK_REALTIME) != 0 &&
         (operation & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET;
}

}  // namespace

extern "C" int clock_gettime(clockid_t clock, timespec* now) noexcept {
  const int result = next_clock_gettime.get()(clock, now);
  const bool wall = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
  if (result == 0 && wall) *now = ToTimespec(ToNs(*now) + AheadNs());
  return result;
}

extern "C" int gettimeofday(timeval* __restrict now, void* __restrict) noexcept {
  const timespec shown = ToTimespec(ShownNs());
  *now = {shown.tv_sec, shown.tv_nsec / 1'000};
  return 0;
}

extern "C" time_t time(time_t* now) noexcept {
  const time_t shown = ToTimespec(ShownNs()).tv_sec;
  if (now != nullptr) *now = shown;
  return shown;
}

extern "C" int pthread_cond_timedwait(pthread_cond_t* __restrict condition,
                                      pthread_mutex_t* __restrict mutex,
                                      const timespec* __restrict until) {
  const bool wall = until->tv_sec > kLongestUptime;
  const timespec machine = wall ? ToTimespec(ToNs(*until) - AheadNs()) : *until;
  return next_timedwait.get()(condition, mutex, &machine);
}

extern "C" long syscall(long number, ...) noexcept {
  // As many as any takes: what was not given is not looked at.
  long arguments[6];
  va_list list;
  va_start(list, number);
  for (long& argument : arguments) argument = va_arg(list, long);
  va_end(list);
  if (number == SYS_futex && WaitsByWallClock(static_cast<int>(arguments[1])) &&
      arguments[3] != 0) {
    return FutexWait(arguments, ToNs(*reinterpret_cast<const timespec*>(arguments[3])));
  }
  return next_syscall.get()(number, arguments[0], arguments[1], arguments[2], arguments[3],
                            arguments[4], arguments[5]);
}
