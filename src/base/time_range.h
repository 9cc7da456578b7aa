// Times as people write them, and from where to where they may be.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace faultline {

// "90s", "250 ms", "1.5h", "1h30m": the sum of parts with a unit each, or one number alone, of
// seconds. Nothing for what is no time, and for 9e18 ns (285 years) and more.
std::optional<std::chrono::nanoseconds> ParseTime(std::string_view text);

struct TimeRange {
  std::chrono::milliseconds min, max;
  bool Has(std::chrono::nanoseconds time) const { return time >= min && time <= max; }
  // "500 ms to 60 s".
  std::string Text() const;
};

}  // namespace faultline
