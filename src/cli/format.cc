#include "cli/format.h"

#include <algorithm>
#include <cmath>
#include <ctime>

#include "base/clock.h"

namespace faultline::cli {
namespace {

constexpr int64_t kSecondNs = static_cast<int64_t>(kNanosPerSecond);
constexpr int64_t kMilliNs = static_cast<int64_t>(kNanosPerMilli);

tm LocalTime(int64_t unix_ns) {
  const time_t seconds = unix_ns / kSecondNs;
  tm local{};
  localtime_r(&seconds, &local);
  return local;
}

}  // namespace

std::string FormatDuration(int64_t duration_ns) {
  if (duration_ns < 0) return "-" + FormatDuration(-duration_ns);
  if (duration_ns == 0) return "0s";
  if (duration_ns < kSecondNs)
    return fmt::format("{}ms", std::max<int64_t>(1, duration_ns / kMilliNs));
  const int64_t seconds = duration_ns / kSecondNs;
  const int64_t minutes = seconds / 60, hours = minutes / 60, days = hours / 24;
  if (days > 0) return fmt::format("{}d{:02}h", days, hours % 24);
  if (hours > 0) return fmt::format("{}h{:02}m", hours, minutes % 60);
  if (minutes > 0) return fmt::format("{}m{:02}s", minutes, seconds % 60);
  return fmt::format("{}s", seconds);
}

std::string FormatDuration(const google::protobuf::Duration& duration) {
  return FormatDuration(ToNanos(duration));
}

google::protobuf::Duration ToDuration(std::chrono::nanoseconds time) {
  google::protobuf::Duration duration;
  duration.set_seconds(time.count() / kSecondNs);
  duration.set_nanos(static_cast<int32_t>(time.count() % kSecondNs));
  return duration;
}

int64_t ToNanos(const google::protobuf::Duration& duration) {
  return duration.seconds() * kSecondNs + duration.nanos();
}

int64_t ToUnixNanos(const google::protobuf::Timestamp& timestamp) {
  return timestamp.seconds() * kSecondNs + timestamp.nanos();
}

std::string FormatTime(int64_t unix_ns, int64_t now_unix_ns) {
  if (unix_ns == 0) return "-";
  const tm time = LocalTime(unix_ns), now = LocalTime(now_unix_ns);
  const bool today = time.tm_year == now.tm_year && time.tm_yday == now.tm_yday;
  char text[32];
  std::strftime(text, sizeof text, today ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &time);
  return text;
}

std::string FormatIsoTime(int64_t unix_ns) {
  if (unix_ns == 0) return "-";
  const tm time = LocalTime(unix_ns);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &time);
  const auto minutes = std::abs(time.tm_gmtoff) / 60;
  return fmt::format("{}{}{:02}:{:02}", text, time.tm_gmtoff < 0 ? '-' : '+', minutes / 60,
                     minutes % 60);
}

std::string FormatRate(double per_second) {
  return per_second < 10 ? fmt::format("{:.2g}", per_second) : fmt::format("{:.0f}", per_second);
}

std::string FormatLatencyMs(double latency_ms) {
  if (latency_ms <= 0) return "-";
  if (latency_ms >= 1000) return fmt::format("{:.3g} s", latency_ms / 1000);
  if (latency_ms >= 100) return fmt::format("{:.0f} ms", latency_ms);
  if (latency_ms >= 10) return fmt::format("{:.1f} ms", latency_ms);
  if (latency_ms >= 1) return fmt::format("{:.2f} ms", latency_ms);
  return fmt::format("{:.3f} ms", latency_ms);
}

std::string Sparkline(std::span<const double> values, size_t columns, bool utf8) {
  static constexpr std::string_view kBlocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  static constexpr std::string_view kAscii[] = {".", ":", "-", "=", "+", "*", "#", "@"};
  const auto& levels = utf8 ? kBlocks : kAscii;
  if (values.size() > columns) values = values.last(columns);
  const double largest = values.empty() ? 0 : *std::max_element(values.begin(), values.end());
  std::string line;
  for (const double value : values) {
    if (value < 0) {
      line += ' ';
      continue;
    }
    const double share = largest > 0 ? value / largest : 0;
    line += levels[std::min<size_t>(7, static_cast<size_t>(share * 8))];
  }
  return line;
}

bool NaturalLess::operator()(std::string_view a, std::string_view b) const {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (!is_digit(a[i]) || !is_digit(b[j])) {
      if (a[i] != b[j]) return a[i] < b[j];
      ++i, ++j;
      continue;
    }
    // Without zeros in front the longer number is the larger one.
    const auto number_at = [&is_digit](std::string_view text, size_t& at) {
      while (at < text.size() && text[at] == '0') ++at;
      const size_t begin = at;
      while (at < text.size() && is_digit(text[at])) ++at;
      return text.substr(begin, at - begin);
    };
    const std::string_view of_a = number_at(a, i), of_b = number_at(b, j);
    if (of_a.size() != of_b.size()) return of_a.size() < of_b.size();
    if (of_a != of_b) return of_a < of_b;
  }
  const size_t left_a = a.size() - i, left_b = b.size() - j;
  return left_a != left_b ? left_a < left_b : a < b;
}

std::string Clipped(std::string_view line, size_t columns) {
  std::string clipped;
  bool in_color = false;
  size_t used = 0;
  for (const char c : line) {
    if (c == '\033') in_color = true;
    if (in_color) {
      clipped += c;
      in_color = c != 'm';
      continue;
    }
    if ((static_cast<unsigned char>(c) & 0xC0) != 0x80) ++used;
    if (used <= columns) clipped += c;
  }
  return clipped;
}

size_t DisplayWidth(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

}  // namespace faultline::cli
