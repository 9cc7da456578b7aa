// The axis of charts of times.
#pragma once

#include <algorithm>
#include <cmath>

namespace faultline::cli {

// A logarithmic axis of whole powers of ten, in milliseconds.
struct LogAxis {
  double low_ms = 0.1, high_ms = 10;

  // On which both values are; any, when `low` is 0.
  static LogAxis Around(double low, double high) {
    LogAxis axis;
    if (low <= 0) return axis;
    axis.low_ms = std::pow(10, std::floor(std::log10(low)));
    axis.high_ms = std::pow(10, std::ceil(std::log10(std::max(high, low))));
    axis.high_ms = std::max(axis.high_ms, axis.low_ms * 10);
    return axis;
  }
  // 0 at the low end, 1 at the high one; what is outside is there.
  double At(double value_ms) const {
    return std::log10(std::clamp(value_ms, low_ms, high_ms) / low_ms) /
           std::log10(high_ms / low_ms);
  }
  double Value(double share) const { return low_ms * std::pow(high_ms / low_ms, share); }
};

}  // namespace faultline::cli
