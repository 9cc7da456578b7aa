// A report as one HTML page that needs nothing else: styles and charts (SVG) are inside.
#pragma once

#include <string>

#include "chaos/v1/report.pb.h"

namespace faultline::cli {

// Charts of at most this many targets; the tables have all.
inline constexpr int kMaxCharts = 12;

std::string ToHtml(const chaos::v1::Report& report);

}  // namespace faultline::cli
