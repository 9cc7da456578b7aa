// The log on standard error, by spdlog: FL_LOG(info, "text {}", arg). As text for people, or as one
// JSON object on each line.
#pragma once

#include <fmt/format.h>

#include <bit>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

#define FL_LOG(level, ...) ::faultline::Log(::faultline::LogLevel::level, __VA_ARGS__)

namespace faultline {

enum class LogLevel { trace, debug, info, warn, error };

// Whether lines of that level are written.
bool IsLogged(LogLevel level);
void WriteLine(LogLevel level, std::string_view line);

// FL_LOG with a level that is only known where it runs. Any thread. spdlog's own templates would
// compile all of fmt's formatting into every source that logs.
template <typename... Args>
void Log(LogLevel level, fmt::format_string<Args...> format, Args&&... args) {
  if (IsLogged(level)) WriteLine(level, fmt::format(format, std::forward<Args>(args)...));
}

// Sets up the process's log: `program` stands in every line; `level` is one of trace, debug, info,
// warn, error, off; `format` is text or json. INVALID_ARGUMENT otherwise. Call once from main,
// before any thread.
//
// JSON lines have time (RFC 3339, UTC), level, program, thread, message, and a member for each
// field of the LogFields in force.
Status InitLog(std::string_view program, std::string_view level, std::string_view format = "text");

// Nothing is logged from here on: for simulations, which fail what they run by the thousand.
void SilenceLog();

// Of what may come again and again: whether its time number `count`, from 1, is worth a line. The
// 1st, 2nd, 4th, 8th ... are.
inline bool IsWorthALine(uint64_t count) { return std::has_single_bit(count); }

// What this thread's lines are about while the object lives, as LogFields{{"experiment_id", id}}.
// Text lines show it behind the message. Fields of an outer object stay in force, but for those
// that are given again; empty values are left out.
class LogFields {
 public:
  using Field = std::pair<const char*, std::string>;

  LogFields(std::initializer_list<Field> fields);
  ~LogFields();
  LogFields(const LogFields&) = delete;
  LogFields& operator=(const LogFields&) = delete;

 private:
  std::vector<Field> outside_;  // what was in force before
};

}  // namespace faultline
