#include "base/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "base/text.h"

namespace faultline {
namespace {

// The process's lines are formatted by the thread that logs.
std::vector<LogFields::Field>& FieldsInForce() {
  thread_local std::vector<LogFields::Field> fields;
  return fields;
}

void AppendQuoted(std::string_view text, spdlog::memory_buf_t& out) {
  const auto append = [&out](std::string_view s) { out.append(s.data(), s.data() + s.size()); };
  const std::string shown = IsUtf8(text) ? std::string(text) : Shown(text, text.size());
  out.push_back('"');
  for (const char c : shown) {
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      append(fmt::format("\\u{:04x}", static_cast<unsigned>(c)));
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
}

// " experiment_id=e1" for each field.
class TextFields : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg&, const std::tm&, spdlog::memory_buf_t& out) override {
    for (const auto& [name, value] : FieldsInForce()) {
      const std::string text = fmt::format(" {}={}", name, Shown(value));
      out.append(text.data(), text.data() + text.size());
    }
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<TextFields>();
  }
};

// The members "message" and those of the fields.
class JsonMembers : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    Append("message", {message.payload.data(), message.payload.size()}, out);
    for (const auto& [name, value] : FieldsInForce()) {
      out.push_back(',');
      Append(name, value, out);
    }
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<JsonMembers>();
  }

 private:
  static void Append(std::string_view name, std::string_view value, spdlog::memory_buf_t& out) {
    AppendQuoted(name, out);
    out.push_back(':');
    AppendQuoted(value, out);
  }
};

// Ours are spdlog's, in its order.
static_assert(static_cast<int>(LogLevel::trace) == spdlog::level::trace &&
              static_cast<int>(LogLevel::debug) == spdlog::level::debug &&
              static_cast<int>(LogLevel::info) == spdlog::level::info &&
              static_cast<int>(LogLevel::warn) == spdlog::level::warn &&
              static_cast<int>(LogLevel::error) == spdlog::level::err);
spdlog::level::level_enum SpdlogLevel(LogLevel level) {
  return static_cast<spdlog::level::level_enum>(level);
}

std::unique_ptr<spdlog::formatter> MakeFormatter(bool json) {
  if (json) {
    auto formatter = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
    formatter->add_flag<JsonMembers>('*').set_pattern(
        R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","program":"%n","thread":%t,%*})");
    return formatter;
  }
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  formatter->add_flag<TextFields>('*').set_pattern("%Y-%m-%dT%H:%M:%S.%e %L %n: %v%*");
  return formatter;
}

}  // namespace

bool IsLogged(LogLevel level) { return spdlog::should_log(SpdlogLevel(level)); }

void WriteLine(LogLevel level, std::string_view line) {
  spdlog::log(SpdlogLevel(level), spdlog::string_view_t(line.data(), line.size()));
}

void SilenceLog() { spdlog::set_level(spdlog::level::off); }

Status InitLog(std::string_view program, std::string_view level, std::string_view format) {
  const auto parsed = spdlog::level::from_str(std::string(level));
  if (parsed == spdlog::level::off && level != "off") {
    return FieldError("log level", level, "one of trace, debug, info, warn, error, off");
  }
  if (format != "text" && format != "json") {
    return FieldError("log format", format, "text or json");
  }
  auto logger = spdlog::stderr_logger_mt(std::string(program));
  logger->set_formatter(MakeFormatter(format == "json"));
  logger->set_level(parsed);
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
  return absl::OkStatus();
}

LogFields::LogFields(std::initializer_list<Field> fields) : outside_(FieldsInForce()) {
  std::vector<Field>& all = FieldsInForce();
  for (const Field& field : fields) {
    if (field.second.empty()) continue;
    const auto known = std::find_if(all.begin(), all.end(), [&field](const Field& other) {
      return std::string_view(other.first) == field.first;
    });
    if (known != all.end()) {
      known->second = field.second;
    } else {
      all.push_back(field);
    }
  }
}

LogFields::~LogFields() { FieldsInForce() = std::move(outside_); }

}  // namespace faultline
