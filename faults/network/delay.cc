#include "faults/network/delay.h"

#include <cmath>
#include <numbers>

namespace faultline::network {

double DelayModel::DrawUnit() {
  constexpr double kScale = 1.0 / static_cast<double>(uint64_t{1} << 53);
  return (static_cast<double>(Mix(seed_ ^ Mix(turn_++)) >> 11) + 0.5) * kScale;
}

uint64_t DelayModel::Draw() {
  if (jitter_ns_ == 0) return delay_ns_;
  double deviation = 0;
  if (shape_ == Shape::kUniform) {
    deviation = 2 * DrawUnit() - 1;
  } else {
    // Box and Muller: two uniform draws make a normal one.
    const double radius = std::sqrt(-2 * std::log(DrawUnit()));
    deviation = radius * std::cos(2 * std::numbers::pi * DrawUnit());
  }
  const double delay = static_cast<double>(delay_ns_) + deviation * static_cast<double>(jitter_ns_);
  return delay > 0 ? static_cast<uint64_t>(delay) : 0;
}

}  // namespace faultline::network
