#include "cli/report_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/measurements.h"
#include "cli/format.h"
#include "cli/log_axis.h"
#include "cli/report_warnings.h"

namespace faultline::cli {
namespace {

using chaos::v1::ReportPoint;
using chaos::v1::TargetReport;

// The picture, in its own units.
constexpr double kWidth = 880, kLeft = 64, kRight = 16;
constexpr double kTop = 14, kPlotHeight = 190, kGap = 22, kDropHeight = 44, kBottom = 30;
constexpr double kPlotBottom = kTop + kPlotHeight;
constexpr double kDropTop = kPlotBottom + kGap, kDropBottom = kDropTop + kDropHeight;
constexpr double kHeight = kDropBottom + kBottom;

// Where times and latencies stand.
struct Axes {
  double end_ms = 1;
  LogAxis latency;
  uint64_t most_dropped = 0;

  double X(double time_ms) const { return kLeft + (kWidth - kLeft - kRight) * time_ms / end_ms; }
  double Y(double latency_ms) const { return kPlotBottom - kPlotHeight * latency.At(latency_ms); }
};

Axes AxesOf(const TargetReport& target) {
  Axes axes;
  double low = 0, high = 0;
  for (const ReportPoint& point : target.points()) {
    axes.end_ms = std::max(axes.end_ms, static_cast<double>(point.offset_ms() + point.length_ms()));
    axes.most_dropped = std::max(axes.most_dropped, point.dropped());
    if (point.requests() == 0) continue;
    low = low == 0 ? point.p50_ms() : std::min(low, point.p50_ms());
    high = std::max(high, point.p99_ms());
  }
  axes.latency = LogAxis::Around(low, high);
  return axes;
}

double MiddleOf(const ReportPoint& point) {
  return static_cast<double>(point.offset_ms()) + static_cast<double>(point.length_ms()) / 2;
}

std::string Shading(const TargetReport& target, const Axes& axes) {
  std::string svg;
  for (const ReportPoint& point : target.points()) {
    if (point.phase() != chaos::v1::REPORT_PHASE_DURING) continue;
    const double left = axes.X(static_cast<double>(point.offset_ms()));
    const double right = axes.X(static_cast<double>(point.offset_ms() + point.length_ms()));
    svg +=
        fmt::format("<rect class=\"fault\" x=\"{:.1f}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\"/>",
                    left, kTop, right - left + 0.3, kDropBottom - kTop);
  }
  return svg;
}

std::string Grid(const Axes& axes) {
  std::string svg;
  for (double tick = axes.latency.low_ms; tick <= axes.latency.high_ms * 1.001; tick *= 10) {
    svg += fmt::format(
        "<line class=\"grid\" x1=\"{0}\" x2=\"{1}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/>"
        "<text class=\"tick\" x=\"{3}\" y=\"{4:.1f}\" text-anchor=\"end\">{5:g} ms</text>",
        kLeft, kWidth - kRight, axes.Y(tick), kLeft - 8, axes.Y(tick) + 4, tick);
  }
  constexpr int kTimeTicks = 6;
  for (int i = 0; i <= kTimeTicks; ++i) {
    const double at_ms = axes.end_ms * i / kTimeTicks;
    svg +=
        fmt::format("<text class=\"tick\" x=\"{:.1f}\" y=\"{}\" text-anchor=\"{}\">{}</text>",
                    axes.X(at_ms), kDropBottom + 18,
                    i == 0            ? "start"
                    : i == kTimeTicks ? "end"
                                      : "middle",
                    FormatDuration(static_cast<int64_t>(std::round(at_ms / 1e3)) * 1'000'000'000));
  }
  svg += fmt::format("<text class=\"tick\" x=\"{}\" y=\"{}\" text-anchor=\"end\">dropped</text>",
                     kLeft - 8, kDropBottom - kDropHeight / 2 + 4);
  svg += fmt::format("<line class=\"axis\" x1=\"{0}\" x2=\"{1}\" y1=\"{2}\" y2=\"{2}\"/>", kLeft,
                     kWidth - kRight, kDropBottom);
  return svg;
}

// Time between a point and the one before it of which nothing is known.
uint64_t GapBefore(const TargetReport& target, int i) {
  return i == 0 ? 0 : GapMs(target.points(i - 1), target.points(i));
}

std::string Gaps(const TargetReport& target, const Axes& axes) {
  std::string svg;
  for (int i = 0; i < target.points_size(); ++i) {
    const uint64_t gap_ms = GapBefore(target, i);
    if (gap_ms == 0) continue;
    const uint64_t end_ms = target.points(i).offset_ms();
    const double left = axes.X(static_cast<double>(end_ms - gap_ms));
    svg += fmt::format(
        "<rect class=\"gap\" x=\"{:.1f}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\">"
        "<title>nothing is known of {}</title></rect>",
        left, kTop, axes.X(static_cast<double>(end_ms)) - left, kDropBottom - kTop,
        FormatDuration(static_cast<int64_t>(gap_ms) * 1'000'000));
  }
  return svg;
}

// "before" may have ended long before the fault that the axis shows right behind it.
bool IsOldBefore(const TargetReport& target, int i) {
  return i > 0 && target.before_age_ms() >= kOldBeforeMs &&
         target.points(i - 1).phase() == chaos::v1::REPORT_PHASE_BEFORE &&
         target.points(i).phase() != chaos::v1::REPORT_PHASE_BEFORE;
}

// A line through the points where something was measured, with a gap where nothing was.
std::string Curve(const TargetReport& target, const Axes& axes, const char* name,
                  double (ReportPoint::*value)() const) {
  std::string path, dots;
  bool gap = true;
  for (int i = 0; i < target.points_size(); ++i) {
    const ReportPoint& point = target.points(i);
    gap = gap || GapBefore(target, i) > 0 || IsOldBefore(target, i);
    if (point.requests() == 0) {
      gap = true;
      continue;
    }
    const double x = axes.X(MiddleOf(point)), y = axes.Y((point.*value)());
    path += fmt::format("{}{:.1f} {:.1f}", gap ? "M" : "L", x, y);
    dots += fmt::format(
        "<circle class=\"{0}\" cx=\"{1:.1f}\" cy=\"{2:.1f}\" r=\"2.5\"><title>{0} {3}, {4} "
        "requests</title></circle>",
        name, x, y, FormatLatencyMs((point.*value)()), point.requests());
    gap = false;
  }
  return fmt::format("<path class=\"{}\" d=\"{}\"/>", name, path) + dots;
}

std::string Drops(const TargetReport& target, const Axes& axes) {
  if (axes.most_dropped == 0) return "";
  std::string svg;
  for (const ReportPoint& point : target.points()) {
    if (point.dropped() == 0) continue;
    const double height =
        kDropHeight * static_cast<double>(point.dropped()) / static_cast<double>(axes.most_dropped);
    const double left = axes.X(static_cast<double>(point.offset_ms()));
    const double right = axes.X(static_cast<double>(point.offset_ms() + point.length_ms()));
    svg += fmt::format(
        "<rect class=\"drop\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" "
        "height=\"{:.1f}\"><title>{} "
        "packets dropped</title></rect>",
        left + 0.5, kDropBottom - height, std::max(1.0, right - left - 1), height, point.dropped());
  }
  return svg;
}

}  // namespace

std::string HtmlEscaped(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string CourseChart(const TargetReport& target) {
  if (target.points_size() == 0) return "";
  const Axes axes = AxesOf(target);
  return fmt::format(
      "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"Request times of {} over "
      "time\">{}{}{}{}"
      "{}{}</svg>",
      kWidth, kHeight, HtmlEscaped(target.target_id()), Shading(target, axes), Gaps(target, axes),
      Grid(axes), Drops(target, axes), Curve(target, axes, "p50", &ReportPoint::p50_ms),
      Curve(target, axes, "p99", &ReportPoint::p99_ms));
}

}  // namespace faultline::cli
