// The course of one target as an SVG picture.
#pragma once

#include <string>

#include "chaos/v1/report.pb.h"

namespace faultline::cli {

// p50 and p99 over time on a logarithmic axis, the fault's time shaded, dropped packets as bars
// below. Lines end where time begins that nothing is known of, which is marked. Empty without
// points.
std::string CourseChart(const chaos::v1::TargetReport& target);

// For HTML's text and attributes.
std::string HtmlEscaped(const std::string& text);

}  // namespace faultline::cli
