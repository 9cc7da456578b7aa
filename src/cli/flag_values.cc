#include "cli/flag_values.h"

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"

namespace faultline::cli {
namespace {

std::string NotAllowed(const std::string& text, const std::string& allowed) {
  return fmt::format("'{}' is not allowed: {}", Shown(text), allowed);
}

}  // namespace

CLI::Validator TimeIn(const TimeRange& range) {
  return CLI::Validator(
      [range](std::string& text) -> std::string {
        const auto time = ParseTime(text);
        if (!time || !range.Has(*time)) {
          return NotAllowed(text, fmt::format("a time from {}, in ms, s, m or h", range.Text()));
        }
        text = std::to_string(std::chrono::round<std::chrono::milliseconds>(*time).count());
        return "";
      },
      "");
}

CLI::Validator WholeNumberIn(uint64_t min, uint64_t max) {
  const std::string allowed = max == INT64_MAX && min > 0
                                  ? fmt::format("a whole number above {}", min - 1)
                                  : fmt::format("a whole number from {} to {}", min, max);
  return CLI::Validator(
      [min, max, allowed](std::string& text) -> std::string {
        const auto number = ParseWholeNumber("", text, min, max);
        if (!number.ok()) return NotAllowed(text, allowed);
        text = std::to_string(*number);
        return "";
      },
      "");
}

CLI::Validator NumberIn(double min, double max) {
  return CLI::Validator(
      [min, max](std::string& text) -> std::string {
        const auto number = ParseQuantity(text, "");
        if (number.ok() && *number >= min && *number <= max) return "";
        return NotAllowed(text, fmt::format("a number from {} to {}", min, max));
      },
      "");
}

CLI::Validator NotEmpty() {
  return CLI::Validator([](std::string& text) { return text.empty() ? "must not be empty" : ""; },
                        "");
}

}  // namespace faultline::cli
