#include "base/time_range.h"

#include <fmt/format.h>

#include <cctype>
#include <cmath>

#include "base/units.h"

namespace faultline {
namespace {

// In the largest unit of which it is a whole number; 60 s and 60 m stay what they are.
std::string Text(std::chrono::milliseconds time) {
  const int64_t ms = time.count();
  if (ms % 1'000 != 0) return fmt::format("{} ms", ms);
  const int64_t seconds = ms / 1'000;
  if (seconds % 3'600 == 0 && seconds > 3'600) return fmt::format("{} h", seconds / 3'600);
  if (seconds % 60 == 0 && seconds > 60) return fmt::format("{} m", seconds / 60);
  return fmt::format("{} s", seconds);
}

template <typename IsPart>
size_t SkipWhile(std::string_view text, size_t at, IsPart is_part) {
  while (at < text.size() && is_part(static_cast<unsigned char>(text[at]))) ++at;
  return at;
}

}  // namespace

std::optional<std::chrono::nanoseconds> ParseTime(std::string_view text) {
  if (text.empty()) return std::nullopt;
  constexpr double kTooLongNs = 9e18;
  double total_ns = 0;
  for (std::string_view rest = text; !rest.empty();) {
    const size_t number_end =
        SkipWhile(rest, 0, [](unsigned char c) { return std::isdigit(c) != 0 || c == '.'; });
    const size_t unit = SkipWhile(rest, number_end, [](unsigned char c) { return c == ' '; });
    const size_t end = SkipWhile(rest, unit, [](unsigned char c) { return std::isalpha(c) != 0; });
    const bool alone = rest.size() == text.size() && number_end == rest.size();
    if (number_end == 0 || (end == unit && !alone)) return std::nullopt;
    const auto part_s = ParseQuantity(rest.substr(0, end), "s");
    if (!part_s.ok()) return std::nullopt;
    total_ns += *part_s * 1e9;
    rest.remove_prefix(end);
  }
  if (!(total_ns < kTooLongNs)) return std::nullopt;
  return std::chrono::nanoseconds(std::llround(total_ns));
}

std::string TimeRange::Text() const {
  return fmt::format("{} to {}", faultline::Text(min), faultline::Text(max));
}

}  // namespace faultline
