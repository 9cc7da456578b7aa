#include "cli/live_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/traffic.h"
#include "cli/log_axis.h"
#include "cli/traffic_text.h"

namespace faultline::cli {
namespace {

constexpr size_t kLabelColumns = 10;
constexpr size_t kLeastRows = 3, kMostRows = 12;
// A chart's lines beside its rows: what is now, requests, drops, and an empty one.
constexpr size_t kOtherLines = 4;
// Of a terminal for a chart of one row: with the legend, and the line that the cursor is on.
constexpr int kLeastTerminalRows = 6;

LogAxis AxisOf(const std::vector<double>& lows, const std::vector<double>& highs) {
  double low = 0, high = 0;
  for (size_t i = 0; i < lows.size(); ++i) {
    if (lows[i] <= 0) continue;
    low = low == 0 ? lows[i] : std::min(low, lows[i]);
    high = std::max(high, highs[i]);
  }
  return LogAxis::Around(low, high);
}

std::string Label(const std::string& text) { return fmt::format("{:>8}  ", text); }

const char* UpToP50(bool utf8) { return utf8 ? "█" : "#"; }
const char* UpToP99(bool utf8) { return utf8 ? "░" : ":"; }

// 0 when it is not known in what time.
double PerSecond(uint64_t count, double time_ns) {
  return time_ns > 0 ? static_cast<double>(count) * 1e9 / time_ns : 0;
}

std::string RateText(double per_second) {
  return per_second < 0 ? "-" : FormatRate(per_second) + "/s";
}

// "  handshake p50 1.5 ms"; empty without any.
std::string MedianText(const char* what, const SparseBuckets& buckets) {
  if (buckets.count() == 0) return "";
  constexpr double kMedian[] = {50};
  return fmt::format("  {} p50 {}", what,
                     FormatLatencyMs(buckets.PercentilesNs(kMedian).front() / 1e6));
}

}  // namespace

bool IsPast(const chaos::v1::MetricUpdate& update) {
  return update.has_position() && update.position().incarnation() == 0;
}

std::string PastLine(const chaos::v1::MetricUpdate& update, int64_t now_unix_ns) {
  return fmt::format(
      "{}  {}  p50 {}  p99 {}  requests {}/s  dropped {}/s\n",
      FormatTime(update.timestamp_ns(), now_unix_ns), update.target_id(),
      FormatLatencyMs(update.p50_latency_ms()), FormatLatencyMs(update.p99_latency_ms()),
      FormatRate(update.requests_per_second()), FormatRate(update.drops_per_second()));
}

LiveChart::Column& LiveChart::ColumnAt(Series& series, uint64_t second) {
  if (series.columns.empty()) series.first_second = series.detailed_from = second;
  while (series.first_second + series.columns.size() <= second) {
    series.columns.emplace_back();
    if (series.columns.size() > kMaxColumns) {
      series.columns.pop_front();
      ++series.first_second;
    }
  }
  // Shown in full are the present second, the one before, and what is not printed yet.
  const uint64_t end = std::min(second > 0 ? second - 1 : 0, printed_);
  series.detailed_from = std::max(series.detailed_from, series.first_second);
  for (; series.detailed_from < end; ++series.detailed_from) {
    Column& column = series.columns[series.detailed_from - series.first_second];
    column.numbers = NumbersOf(column);
    column.detail.reset();
  }
  return series.columns.back();
}

size_t LiveChart::detailed_seconds() const {
  size_t seconds = 0;
  for (const auto& [name, series] : series_) {
    for (const Column& column : series.columns) seconds += column.detail ? 1 : 0;
  }
  return seconds;
}

// Each experiment on a target has updates of the same batches. Whichever comes first is counted:
// when an experiment ends, those of another one go on.
bool LiveChart::IsNew(const chaos::v1::MetricUpdate& update) {
  const auto& position = update.position();
  uint64_t& counted = counted_[{update.target_id(), position.incarnation()}];
  if (position.sequence() <= counted + update.merged_batches()) return false;
  counted = position.sequence();
  return true;
}

void LiveChart::AddMeasured(const chaos::v1::MetricUpdate& update, Detail& detail) {
  const uint64_t before = detail.latency.count();
  detail.latency.Merge(update.latency()).IgnoreError();  // of a newer scheme: not shown
  detail.handshake.Merge(update.traffic().handshake()).IgnoreError();
  detail.rtt.Merge(update.traffic().smoothed_rtt()).IgnoreError();
  Requests& requests = detail.requests[update.target_id()];
  requests.count += detail.latency.count() - before;
  requests.measured_ns += update.interval_ns();
  MergeCounts(update.traffic(), &requests.traffic);
  detail.merged += update.merged_batches();
  detail.missed += update.missed_batches();
}

void LiveChart::AddDrops(const chaos::v1::MetricUpdate& update, Detail& detail) {
  const DropsKey key(update.experiment_id(), update.target_id());
  const auto [last, first] = last_drops_.try_emplace(key, update.packet_drops());
  if (first) return;  // what was dropped before is not of this second
  Drops& drops = detail.drops[key];
  drops.count += static_cast<uint64_t>(std::max<int64_t>(0, update.packet_drops() - last->second));
  // The counter grew in the batches that are missed too; they are as long as the others.
  const auto batches = static_cast<double>(1 + update.merged_batches());
  drops.counted_ns += static_cast<double>(update.interval_ns()) *
                      (1 + static_cast<double>(update.missed_batches()) / batches);
  last->second = update.packet_drops();
}

void LiveChart::Add(const chaos::v1::MetricUpdate& update, uint64_t now_ns) {
  heard_ns_ = now_ns;
  second_ = now_ns / kColumnNs;
  if (printed_ == 0) printed_ = second_;
  Column& column = ColumnAt(series_[per_target_ ? update.target_id() : "all targets"], second_);
  if (!column.detail) column.detail = std::make_unique<Detail>();
  if (IsNew(update)) AddMeasured(update, *column.detail);
  AddDrops(update, *column.detail);
}

LiveChart::Numbers LiveChart::NumbersOf(const Column& column) {
  if (!column.detail) return column.numbers;
  const Detail& detail = *column.detail;
  constexpr double kPercents[] = {50, 90, 99};
  const std::vector<double> ns = detail.latency.PercentilesNs(kPercents);
  Numbers numbers{.p50_ms = ns[0] / 1e6, .p90_ms = ns[1] / 1e6, .p99_ms = ns[2] / 1e6};
  if (!detail.requests.empty()) numbers.requests_per_second = numbers.drops_per_second = 0;
  if (!detail.drops.empty()) numbers.drops_per_second = 0;
  for (const auto& [target, requests] : detail.requests) {
    numbers.requests_per_second +=
        PerSecond(requests.count, static_cast<double>(requests.measured_ns));
  }
  for (const auto& [key, drops] : detail.drops) {
    // A target that is observed by itself has updates of its own, which count all of its drops.
    const auto& [experiment, target] = key;
    if (!experiment.empty() && detail.drops.contains({"", target})) continue;
    numbers.drops_per_second += PerSecond(drops.count, drops.counted_ns);
  }
  return numbers;
}

std::string LiveChart::Summary(const std::string& name, const Column& column) const {
  const Numbers numbers = NumbersOf(column);
  std::string text = fmt::format(
      "{}  p50 {}  p90 {}  p99 {}  requests {}  dropped {}", name, FormatLatencyMs(numbers.p50_ms),
      FormatLatencyMs(numbers.p90_ms), FormatLatencyMs(numbers.p99_ms),
      RateText(numbers.requests_per_second), RateText(numbers.drops_per_second));
  if (!column.detail) return text;
  const Detail& detail = *column.detail;
  text += MedianText("handshake", detail.handshake) + MedianText("rtt", detail.rtt);
  chaos::v1::TrafficDetail traffic;
  std::map<std::string, double> per_second;
  for (const auto& [target, requests] : detail.requests) {
    MergeCounts(requests.traffic, &traffic);
    for (const auto& [count, what] : TrafficCounts(requests.traffic)) {
      per_second[what] += PerSecond(count, static_cast<double>(requests.measured_ns));
    }
  }
  for (const auto& [count, what] : TrafficCounts(traffic)) {
    text += fmt::format("  {} {}", what, RateText(per_second[what]));
  }
  for (const auto& part : BatchTexts(detail.merged, detail.missed)) text += "  " + part;
  return text;
}

// The second that is under way has not been measured in full.
std::string LiveChart::LastSummary(const std::string& name, const Series& series) const {
  const size_t columns = series.columns.size();
  return Summary(name, series.columns[columns - (columns > 1 ? 2 : 1)]);
}

std::string LiveChart::Chart(const std::string& name, const Series& series, size_t rows) const {
  const auto columns = static_cast<size_t>(screen_.terminal().columns);
  const size_t width = columns > kLabelColumns + 1 ? columns - kLabelColumns - 1 : 1;
  const size_t from = series.columns.size() > width ? series.columns.size() - width : 0;
  std::vector<double> p50, p99, requests, drops;
  for (size_t i = from; i < series.columns.size(); ++i) {
    const Numbers numbers = NumbersOf(series.columns[i]);
    p50.push_back(numbers.p50_ms);
    p99.push_back(numbers.p99_ms);
    requests.push_back(numbers.requests_per_second);
    drops.push_back(numbers.drops_per_second);
  }
  const bool utf8 = screen_.terminal().utf8;
  std::string text = LastSummary(name, series) + "\n";
  const LogAxis axis = AxisOf(p50, p99);
  for (size_t row = rows; row-- > 0;) {
    const double middle = (static_cast<double>(row) + 0.5) / static_cast<double>(rows);
    const bool labelled = row == rows - 1 || row == rows / 2 || row == 0;
    text += labelled ? Label(FormatLatencyMs(axis.Value(middle))) : Label("");
    for (size_t i = 0; i < p50.size(); ++i) {
      text += p99[i] <= 0                 ? " "
              : axis.At(p50[i]) >= middle ? UpToP50(utf8)
              : axis.At(p99[i]) >= middle ? UpToP99(utf8)
                                          : " ";
    }
    text += "\n";
  }
  text += Label("requests") + Sparkline(requests, width, utf8) + "\n";
  return text + Label("dropped") + Sparkline(drops, width, utf8) + "\n";
}

// "last update 7s ago  (3 more targets)  ": what is to be said beside what is shown.
std::string LiveChart::Remarks(size_t series_shown, uint64_t now_ns) const {
  std::string text = SilenceText(heard_ns_, now_ns);
  if (!text.empty()) text += "  ";
  if (series_.size() <= series_shown) return text;
  return text + fmt::format("({} more targets)  ", series_.size() - series_shown);
}

std::string LiveChart::Charts(uint64_t now_ns) const {
  const auto lines = static_cast<size_t>(screen_.terminal().rows - 2);
  // As many charts as can be read.
  const size_t fit = std::max<size_t>(1, lines / (kLeastRows + kOtherLines));
  const size_t charts = std::min({series_.size(), fit, kMaxCharts});
  const size_t room = lines / charts;
  const size_t rows = std::clamp(room > kOtherLines ? room - kOtherLines : 1, size_t{1}, kMostRows);
  std::string text;
  size_t drawn = 0;
  for (const auto& [name, series] : series_) {
    if (drawn++ == charts) break;
    text += Chart(name, series, rows);
    if (drawn < charts) text += "\n";
  }
  const bool utf8 = screen_.terminal().utf8;
  return text + Label("") + Remarks(charts, now_ns) +
         fmt::format("{} up to p50  {} up to p99, one column a second\n", UpToP50(utf8),
                     UpToP99(utf8));
}

// Of as many targets as there are lines above the cursor's.
std::string LiveChart::Summaries(uint64_t now_ns) const {
  const auto lines = static_cast<size_t>(std::max(screen_.terminal().rows - 1, 1));
  const size_t shown = std::min(series_.size(), lines);
  std::string text = Remarks(shown, now_ns);
  size_t drawn = 0;
  for (const auto& [name, series] : series_) {
    if (drawn++ == shown) break;
    text += LastSummary(name, series) + "\n";
  }
  return text;
}

std::string LiveChart::Picture(uint64_t now_ns) {
  second_ = std::max(second_, now_ns / kColumnNs);
  printed_ = second_;
  if (series_.empty()) return "waiting for measurements...\n";
  for (auto& [name, series] : series_) ColumnAt(series, second_);
  const bool low = screen_.terminal().rows < kLeastTerminalRows;
  return ClippedLines(low ? Summaries(now_ns) : Charts(now_ns),
                      static_cast<size_t>(screen_.terminal().columns));
}

std::string LiveChart::LinesToTheEnd(uint64_t now_ns) {
  const bool heard = heard_ns_ / kColumnNs == now_ns / kColumnNs;
  return LinesUntil(now_ns + (heard ? kColumnNs : 0));
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
