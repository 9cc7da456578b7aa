// Numbers that nobody can guess: ids, seeds.
#pragma once

#include <cstdint>

namespace faultline {

// From the kernel, all values alike. From any thread.
uint64_t RandomNumber();

}  // namespace faultline
