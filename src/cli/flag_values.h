// Flags whose value is a time or a number, of every program: read and bounded here, so that what is
// none, or too large for what it is turned into, is an error of the command line that names flag,
// value and what is allowed: "--lease: '1e30' is not allowed: a time from 500 ms to 60 s, ...".
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <string>

#include "base/time_range.h"

namespace faultline::cli {

// For CLI::Option::transform: the text becomes the value's plain digits. A time as ParseTime reads
// it becomes whole milliseconds.
CLI::Validator TimeIn(const TimeRange& range);
// With INT64_MAX for `max` there is none.
CLI::Validator WholeNumberIn(uint64_t min, uint64_t max);
CLI::Validator NumberIn(double min, double max);

// For CLI::Option::check: what a script gives with an unset variable is a mistake, not the default.
CLI::Validator NotEmpty();

// A flag for a time. `value`: of std::chrono::milliseconds, or of an optional of them.
template <typename Value>
CLI::Option* AddTime(CLI::App* app, const std::string& names, Value* value, const TimeRange& range,
                     const std::string& help) {
  const auto set = [value](const int64_t& ms) { *value = std::chrono::milliseconds(ms); };
  return app->add_option_function<int64_t>(names, set, help)
      ->transform(TimeIn(range))
      ->type_name("TIME");
}

}  // namespace faultline::cli
