#include "tests/cluster/wall_clock.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace faultline::cluster {

WallClock::WallClock() {
  const int fd = open(File().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  void* mapped = MAP_FAILED;
  if (fd >= 0 && ftruncate(fd, sizeof *ahead_ns_) == 0) {
    mapped = mmap(nullptr, sizeof *ahead_ns_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  }
  if (mapped == MAP_FAILED) {
    std::perror(File().c_str());
    std::abort();
  }
  ahead_ns_ = static_cast<std::atomic<int64_t>*>(mapped);
  close(fd);
}

WallClock::~WallClock() { munmap(ahead_ns_, sizeof *ahead_ns_); }

std::vector<std::string> WallClock::environment() const {
  return {"LD_PRELOAD=" FAULTLINE_STEPPED_CLOCK, "FAULTLINE_CLOCK_FILE=" + File()};
}

void WallClock::Set(std::chrono::nanoseconds ahead) { ahead_ns_->store(ahead.count()); }

}  // namespace faultline::cluster
