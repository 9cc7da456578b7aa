// Units of parameters to units of the datapath.
#pragma once

#include <cmath>
#include <cstdint>

namespace faultline::network {

inline uint64_t MillisToNanos(double milliseconds) {
  constexpr double kNanosPerMilli = 1e6;
  return static_cast<uint64_t>(std::llround(milliseconds * kNanosPerMilli));
}

// A share in percent as a probability in 2^-32: 100 is always.
inline uint64_t OfTwoTo32(double percent) {
  constexpr double kTwoTo32 = 4294967296.0;
  return static_cast<uint64_t>(std::llround(percent / 100 * kTwoTo32));
}

}  // namespace faultline::network
