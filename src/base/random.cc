#include "base/random.h"

#include <sys/random.h>

#include <cstdlib>

namespace faultline {

uint64_t RandomNumber() {
  uint64_t value = 0;
  // So few bytes come whole, or not at all (before the kernel's pool is ready, which is waited
  // for).
  if (getrandom(&value, sizeof value, 0) != sizeof value) std::abort();
  return value;
}

}  // namespace faultline
