// The system's clocks, for all code that is linked into the simulator: those of the host on whose
// behalf it runs. Who sleeps there takes so long.
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "sim/world.h"

extern "C" int clock_gettime(clockid_t id, timespec* out) noexcept {
  const auto* world = faultline::sim::World::current();
  if (world == nullptr || world->here() == faultline::sim::kNowhere) {
    return static_cast<int>(syscall(SYS_clock_gettime, id, out));
  }
  const auto ns = id == CLOCK_REALTIME ? world->UnixNs(world->here())
                                       : static_cast<int64_t>(world->BoottimeNs(world->here()));
  out->tv_sec = static_cast<time_t>(ns / 1'000'000'000);
  out->tv_nsec = static_cast<long>(ns % 1'000'000'000);
  return 0;
}

extern "C" int nanosleep(const timespec* requested, timespec* left) {
  auto* world = faultline::sim::World::current();
  if (world == nullptr || world->here() == faultline::sim::kNowhere) {
    return static_cast<int>(syscall(SYS_nanosleep, requested, left));
  }
  world->Spend(static_cast<uint64_t>(requested->tv_sec) * faultline::sim::kSecond +
               static_cast<uint64_t>(requested->tv_nsec));
  return 0;
}
