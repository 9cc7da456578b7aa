// Units of parameters to units of the datapath.
#pragma once

#include <cmath>
#include <cstdint>

namespace faultline::network {

inline uint64_t MillisToNanos(double milliseconds) {
  constexpr double kNanosPerMilli = 1e6;
  return static_cast<uint64_t>(std::llround(milliseconds * kNanosPerMilli));
}

// What a rule draws by, when it is the nth of its target's rules with the experiment's seed: two
// faults of one experiment do not choose the same packets, and the same experiment chooses the same
// ones in every run. The first one's is the seed itself.
inline uint64_t ChoiceSeed(uint64_t seed, unsigned nth) {
  constexpr uint64_t kStep = 0xd1342543de82ef95;  // odd: no two are the same
  return seed + nth * kStep;
}

// A share in percent as a probability in 2^-32: 100 is always.
inline uint64_t OfTwoTo32(double percent) {
  constexpr double kTwoTo32 = 4294967296.0;
  return static_cast<uint64_t>(std::llround(percent / 100 * kTwoTo32));
}

}  // namespace faultline::network
