#include "cli/live_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/traffic.h"
#include "cli/format.h"
#include "cli/traffic_text.h"

namespace faultline::cli {
namespace {

constexpr size_t kLabelColumns = 10;
constexpr size_t kLeastRows = 3, kMostRows = 12;
// A chart's lines beside its rows: what is now, requests, drops, and an empty one.
constexpr size_t kOtherLines = 4;

// A logarithmic axis of whole powers of ten.
struct Axis {
  double low_ms = 0.1, high_ms = 10;

  double At(double value_ms) const {
    return std::log10(std::clamp(value_ms, low_ms, high_ms) / low_ms) /
           std::log10(high_ms / low_ms);
  }
  double Value(double share) const { return low_ms * std::pow(high_ms / low_ms, share); }
};

Axis AxisOf(const std::vector<double>& lows, const std::vector<double>& highs) {
  Axis axis;
  double low = 0, high = 0;
  for (size_t i = 0; i < lows.size(); ++i) {
    if (lows[i] <= 0) continue;
    low = low == 0 ? lows[i] : std::min(low, lows[i]);
    high = std::max(high, highs[i]);
  }
  if (low == 0) return axis;
  axis.low_ms = std::pow(10, std::floor(std::log10(low)));
  axis.high_ms = std::max(axis.low_ms * 10, std::pow(10, std::ceil(std::log10(high))));
  return axis;
}

std::string Label(const std::string& text) { return fmt::format("{:>8}  ", text); }

}  // namespace

bool IsPast(const chaos::v1::MetricUpdate& update) {
  return update.has_position() && update.position().incarnation() == 0;
}

std::string PastLine(const chaos::v1::MetricUpdate& update, int64_t now_unix_ns) {
  return fmt::format("{}  {}  p50 {}  p99 {}  requests {:.0f}/s  dropped {:.0f}/s\n",
                     FormatTime(update.timestamp_ns(), now_unix_ns), update.target_id(),
                     FormatLatencyMs(update.p50_latency_ms()),
                     FormatLatencyMs(update.p99_latency_ms()), update.requests_per_second(),
                     update.drops_per_second());
}

LiveChart::Series& LiveChart::SeriesOf(const std::string& target) {
  return series_[per_target_ ? target : "all targets"];
}

LiveChart::Column& LiveChart::ColumnAt(Series& series, uint64_t second) {
  if (series.columns.empty()) series.first_second = second;
  while (series.first_second + series.columns.size() <= second) {
    series.columns.emplace_back();
    if (series.columns.size() > kMaxColumns) {
      series.columns.pop_front();
      ++series.first_second;
    }
  }
  return series.columns.back();
}

void LiveChart::Add(const chaos::v1::MetricUpdate& update, uint64_t now_ns) {
  heard_ns_ = now_ns;
  second_ = now_ns / kColumnNs;
  if (printed_ == 0) printed_ = second_;
  Column& column = ColumnAt(SeriesOf(update.target_id()), second_);
  const auto& owner = owner_.try_emplace(update.target_id(), update.experiment_id()).first->second;
  if (owner == update.experiment_id()) {
    column.latency.Merge(update.latency()).IgnoreError();  // of a newer scheme: not shown
    column.handshake.Merge(update.traffic().handshake()).IgnoreError();
    column.rtt.Merge(update.traffic().smoothed_rtt()).IgnoreError();
    MergeCounts(update.traffic(), &column.traffic);
    column.merged += update.merged_batches();
    column.missed += update.missed_batches();
  }
  auto [last, first] =
      last_drops_.try_emplace({update.experiment_id(), update.target_id()}, update.packet_drops());
  if (first) return;  // what was dropped before is not of this second
  column.dropped +=
      static_cast<uint64_t>(std::max<int64_t>(0, update.packet_drops() - last->second));
  last->second = update.packet_drops();
}

std::string LiveChart::Summary(const std::string& name, const Column& column) const {
  const auto percentile = [&](double p) {
    return FormatLatencyMs(column.latency.PercentileNs(p) / 1e6);
  };
  std::string text =
      fmt::format("{}  p50 {}  p90 {}  p99 {}  requests {}/s  dropped {}/s", name, percentile(50),
                  percentile(90), percentile(99), column.latency.count(), column.dropped);
  if (column.handshake.count() > 0) {
    text +=
        fmt::format("  handshake p50 {}", FormatLatencyMs(column.handshake.PercentileNs(50) / 1e6));
  }
  if (column.rtt.count() > 0) {
    text += fmt::format("  rtt p50 {}", FormatLatencyMs(column.rtt.PercentileNs(50) / 1e6));
  }
  for (const auto& [count, what] : TrafficCounts(column.traffic)) {
    text += fmt::format("  {} {}/s", what, count);
  }
  for (const auto& part : BatchTexts(column.merged, column.missed)) text += "  " + part;
  return text;
}

std::string LiveChart::Chart(const std::string& name, const Series& series, size_t rows) const {
  const size_t width = static_cast<size_t>(screen_.terminal().columns) > kLabelColumns + 1
                           ? static_cast<size_t>(screen_.terminal().columns) - kLabelColumns - 1
                           : 1;
  const size_t from = series.columns.size() > width ? series.columns.size() - width : 0;
  std::vector<double> p50, p99, requests, drops;
  for (size_t i = from; i < series.columns.size(); ++i) {
    const Column& column = series.columns[i];
    p50.push_back(column.latency.PercentileNs(50) / 1e6);
    p99.push_back(column.latency.PercentileNs(99) / 1e6);
    requests.push_back(static_cast<double>(column.latency.count()));
    drops.push_back(static_cast<double>(column.dropped));
  }
  // The second that is under way has not been measured in full.
  const bool has_past = series.columns.size() > 1;
  std::string text =
      Summary(name, series.columns[series.columns.size() - (has_past ? 2 : 1)]) + "\n";
  const Axis axis = AxisOf(p50, p99);
  for (size_t row = rows; row-- > 0;) {
    const double middle = (static_cast<double>(row) + 0.5) / static_cast<double>(rows);
    const bool labelled = row == rows - 1 || row == rows / 2 || row == 0;
    text += labelled ? Label(FormatLatencyMs(axis.Value(middle))) : Label("");
    for (size_t i = 0; i < p50.size(); ++i) {
      text += p99[i] <= 0                 ? " "
              : axis.At(p50[i]) >= middle ? "█"
              : axis.At(p99[i]) >= middle ? "░"
                                          : " ";
    }
    text += "\n";
  }
  text += Label("requests") + Sparkline(requests, width) + "\n";
  text += Label("dropped") + Sparkline(drops, width) + "\n";
  return text;
}

std::string LiveChart::Picture(uint64_t now_ns) {
  second_ = std::max(second_, now_ns / kColumnNs);
  if (series_.empty()) return "waiting for measurements...\n";
  const auto lines = static_cast<size_t>(std::max(screen_.terminal().rows - 2, 1));
  // As many charts as can be read.
  const size_t fit = std::max<size_t>(1, lines / (kLeastRows + kOtherLines));
  const size_t charts = std::min({series_.size(), fit, kMaxCharts});
  const size_t room = lines / charts;
  const size_t rows = std::clamp(room > kOtherLines ? room - kOtherLines : 1, size_t{1}, kMostRows);
  std::string text;
  size_t drawn = 0;
  for (auto& [name, series] : series_) {
    if (drawn++ == charts) break;
    ColumnAt(series, second_);
    text += Chart(name, series, rows);
    if (drawn < charts) text += "\n";
  }
  text += Label("");
  const std::string silence = SilenceText(heard_ns_, now_ns);
  if (!silence.empty()) text += silence + "  ";
  if (series_.size() > charts) text += fmt::format("({} more targets)  ", series_.size() - charts);
  text += "█ up to p50  ░ up to p99, one column a second";
  return ClippedLines(text + "\n", static_cast<size_t>(screen_.terminal().columns));
}

std::string LiveChart::LinesUntil(uint64_t now_ns) {
  const uint64_t present = now_ns / kColumnNs;
  std::string lines;
  for (; printed_ != 0 && printed_ < present; ++printed_) {
    for (auto& [name, series] : series_) {
      if (printed_ < series.first_second) continue;
      ColumnAt(series, printed_);
      lines += Summary(name, series.columns[printed_ - series.first_second]) + "\n";
    }
  }
  return lines;
}

}  // namespace faultline::cli
