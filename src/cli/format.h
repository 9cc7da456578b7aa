// Numbers, times and shapes as people read them. Pure but for the local time zone.
#pragma once

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace faultline::cli {

// "0s", "350ms", "42s", "9m58s", "2h05m", "3d04h": the two largest units; "-" in front when
// negative.
std::string FormatDuration(int64_t duration_ns);
std::string FormatDuration(const google::protobuf::Duration& duration);

google::protobuf::Duration ToDuration(std::chrono::nanoseconds time);
int64_t ToNanos(const google::protobuf::Duration& duration);
int64_t ToUnixNanos(const google::protobuf::Timestamp& timestamp);

// Local time, "14:03:59" when on the same day as `now_unix_ns`, else "2024-05-01 14:03:59"; "-"
// when `unix_ns` is 0.
std::string FormatTime(int64_t unix_ns, int64_t now_unix_ns);

// Local time as ISO 8601 has it, "2024-05-01T14:03:59+02:00", for what is read at another time or
// place; "-" when `unix_ns` is 0.
std::string FormatIsoTime(int64_t unix_ns);

// How often a second: "0", "0.31", "5.2", "58".
std::string FormatRate(double per_second);

// "0.482 ms", "12.3 ms", "103 ms", "1.25 s": three digits that count; "-" for 0.
std::string FormatLatencyMs(double latency_ms);

// One character per value, lowest to highest of eight, scaled from 0 to the largest; a space for a
// value below 0 (nothing measured). The last `columns` values are shown. Block characters where
// `utf8`, else ASCII.
std::string Sparkline(std::span<const double> values, size_t columns, bool utf8 = true);

// Columns that a UTF-8 text takes (each code point counts one).
size_t DisplayWidth(std::string_view text);

// "exp-9" before "exp-10": numbers in a text are ordered by their value. Different texts are never
// equal.
struct NaturalLess {
  bool operator()(std::string_view a, std::string_view b) const;
};

// The beginning of a line that takes at most `columns`; colours ("\033[...m") take none and stay.
std::string Clipped(std::string_view line, size_t columns);

}  // namespace faultline::cli
