#include "cli/metrics_view.h"

#include <algorithm>
#include <sstream>

#include "base/traffic.h"
#include "cli/format.h"
#include "cli/traffic_text.h"

namespace faultline::cli {
namespace {

// Narrowest sparkline that says anything, and that says enough.
constexpr size_t kLeastColumns = 10;
constexpr size_t kGoodColumns = 20;
// Lines below the table at the most.
constexpr size_t kMostNotes = 4;
// How often it is looked for lines to be taken out.
constexpr uint64_t kClearEveryNs = 1'000'000'000;

// Mean delay per packet, given and asked for, of all the faults together; empty without any.
std::string DelayText(const chaos::v1::MetricUpdate& update) {
  double given_ms = 0, asked_ms = 0;
  for (const auto& fault : update.faults()) {
    if (fault.delayed() == 0 || fault.delays_measured() == 0) continue;
    const double packets_e6 = static_cast<double>(fault.delays_measured()) * 1e6;
    given_ms += static_cast<double>(fault.delay_given_ns()) / packets_e6;
    asked_ms += static_cast<double>(fault.delay_asked_ns()) / packets_e6;
  }
  if (given_ms == 0) return "";
  return fmt::format("{} / {}", FormatLatencyMs(given_ms), FormatLatencyMs(asked_ms));
}

// Median and 99th percentile of what packets waited over the last second, of the fault for which
// they waited longest; empty without any.
std::string WaitedText(const chaos::v1::MetricUpdate& update) {
  const auto& delays = update.fault_delays();
  const auto longest =
      std::max_element(delays.begin(), delays.end(),
                       [](const auto& a, const auto& b) { return a.p99_ms() < b.p99_ms(); });
  if (longest == delays.end() || longest->packets() == 0) return "";
  return fmt::format("{} / {}", FormatLatencyMs(longest->p50_ms()),
                     FormatLatencyMs(longest->p99_ms()));
}

// Delays of the update's interval for which there was no room: they are in no percentile.
uint64_t DelaysWithoutRoom(const chaos::v1::MetricUpdate& update) {
  uint64_t count = 0;
  for (const auto& delays : update.fault_delays()) count += delays.no_room();
  return count;
}

bool IsMeasurable(const chaos::v1::MetricUpdate& update) {
  return update.measurable() || update.not_measurable_reason().empty();
}

// The count of a node that tells no rate is the best there is.
std::string RequestsText(const chaos::v1::MetricUpdate& update) {
  const bool told = update.requests_per_second() > 0;
  return FormatRate(told ? update.requests_per_second()
                         : static_cast<double>(update.request_count()));
}

}  // namespace

bool MetricsView::KeyLess::operator()(const Key& a, const Key& b) const {
  const NaturalLess less;
  return less(a.first, b.first) || (a.first == b.first && less(a.second, b.second));
}

void MetricsView::Add(const chaos::v1::MetricUpdate& update, uint64_t now_ns) {
  if (now_ns >= heard_ns_ + silent_ns_) since_ns_ = now_ns;
  Row& row = rows_[{update.experiment_id(), update.target_id()}];
  row.last = update;
  row.heard_ns = heard_ns_ = now_ns;
  MergeCounts(update.traffic(), &row.traffic);
  row.merged += update.merged_batches();
  row.missed += update.missed_batches();
  row.delays_without_room += DelaysWithoutRoom(update);
  row.p99_ms.push_back(update.request_count() > 0 ? update.p99_latency_ms() : -1);
  if (row.p99_ms.size() > kHistory) row.p99_ms.pop_front();
  if (now_ns < cleared_ns_ + kClearEveryNs) return;
  cleared_ns_ = now_ns;
  std::erase_if(rows_, [&](const Line& line) {
    return std::max(line.second.heard_ns, since_ns_) + forget_ns_ <= now_ns;
  });
}

void MetricsView::End(const std::string& experiment_id) {
  for (auto& [key, row] : rows_) row.ended |= key.first == experiment_id;
}

bool MetricsView::IsLive(const Row& row, uint64_t now_ns) const {
  return !row.ended && now_ns < row.heard_ns + silent_ns_;
}

std::vector<const MetricsView::Line*> MetricsView::Ordered(uint64_t now_ns) const {
  std::vector<const Line*> lines;
  for (const Line& line : rows_) lines.push_back(&line);
  std::stable_partition(lines.begin(), lines.end(),
                        [&](const Line* line) { return IsLive(line->second, now_ns); });
  return lines;
}

MetricsView::Extra MetricsView::WhatIsThere() const {
  Extra extra;
  for (const auto& [key, row] : rows_) {
    extra.delay |= !DelayText(row.last).empty();
    extra.waited |= !WaitedText(row.last).empty();
    extra.handshake |= row.last.handshake_count() > 0;
    extra.rtt |= row.last.p50_rtt_ms() > 0;
  }
  return extra;
}

// All but the sparkline.
std::vector<Cell> MetricsView::CellsOf(const Line& line, const Extra& extra,
                                       uint64_t now_ns) const {
  const auto& [key, row] = line;
  const auto& update = row.last;
  const Style style = IsLive(row, now_ns) ? Style::kPlain : Style::kFaint;
  std::vector<Cell> cells = {Cell(key.first.empty() ? "(none)" : key.first, style),
                             Cell(key.second, style),
                             Cell(FormatLatencyMs(update.p99_latency_ms()), style),
                             Cell(FormatLatencyMs(update.p50_latency_ms()), style),
                             Cell(RequestsText(update), style),
                             Cell(fmt::format("{}", update.packet_drops()), style)};
  if (extra.handshake) cells.emplace_back(FormatLatencyMs(update.p50_handshake_ms()), style);
  if (extra.rtt) cells.emplace_back(FormatLatencyMs(update.p50_rtt_ms()), style);
  if (extra.delay) cells.emplace_back(DelayText(update), style);
  if (extra.waited) cells.emplace_back(WaitedText(update), style);
  return cells;
}

MetricsView::Left MetricsView::LeftOfSparkline(const std::vector<const Line*>& lines,
                                               const Extra& extra, uint64_t now_ns) const {
  Left left;
  left.headings = {"EXPERIMENT", "TARGET", "P99", "P50", "REQUESTS/S", "DROPPED"};
  if (extra.handshake) left.headings.push_back("HANDSHAKE");
  if (extra.rtt) left.headings.push_back("RTT");
  if (extra.delay) left.headings.push_back("DELAY / ASKED");
  if (extra.waited) left.headings.push_back("WAITED P50 / P99");
  std::vector<size_t> widths;
  for (const auto& heading : left.headings) widths.push_back(DisplayWidth(heading));
  for (const Line* line : lines) {
    left.rows.push_back(CellsOf(*line, extra, now_ns));
    for (size_t i = 0; i < widths.size(); ++i) {
      widths[i] = std::max(widths[i], DisplayWidth(left.rows.back()[i].text));
    }
  }
  for (const size_t width : widths) left.columns += width + 2;
  return left;
}

// What stands below the table.
std::vector<Cell> MetricsView::Notes(const std::vector<const Line*>& lines, uint64_t now_ns) const {
  std::vector<Cell> notes;
  if (lines.empty()) return notes;
  const std::string silence = SilenceText(heard_ns_, now_ns);
  if (!silence.empty()) notes.emplace_back(silence, Style::kWarning);
  for (const Line* line : lines) {
    const auto& [key, row] = *line;
    if (IsMeasurable(row.last)) continue;
    notes.emplace_back(
        fmt::format("{} is not measurable: {}", key.second, row.last.not_measurable_reason()),
        Style::kWarning);
    break;  // one tells enough
  }
  for (const Line* line : lines) {
    const auto& [key, row] = *line;
    if (row.delays_without_room == 0) continue;
    notes.emplace_back(
        fmt::format("{}: {} delayed packets are in no percentile: its agent had no room for so "
                    "many different delays",
                    key.second, row.delays_without_room),
        Style::kWarning);
    break;
  }
  // A target in several experiments is told of once.
  std::map<std::string, std::string, NaturalLess> seen;
  for (const Line* line : lines) {
    const auto& [key, row] = *line;
    std::string text = TrafficText(row.traffic);
    for (const std::string& part : BatchTexts(row.merged, row.missed)) {
      text += (text.empty() ? "" : ", ") + part;
    }
    if (!text.empty()) seen.try_emplace(key.second, std::move(text));
  }
  for (const auto& [target, text] : seen) {
    if (notes.size() >= std::min(kMostNotes, static_cast<size_t>(screen_.terminal().rows) / 5))
      break;
    notes.emplace_back(fmt::format("{}: {}", target, text));
  }
  return notes;
}

std::string MetricsView::Picture(uint64_t now_ns) const {
  std::ostringstream text, unused;
  Output out(text, unused, screen_.terminal());
  const auto columns = static_cast<size_t>(screen_.terminal().columns);
  const std::vector<const Line*> lines = Ordered(now_ns);
  Left left = LeftOfSparkline(lines, WhatIsThere(), now_ns);
  // In a narrow terminal the sparkline says more.
  if (left.columns + kGoodColumns > columns) left = LeftOfSparkline(lines, {}, now_ns);
  const size_t sparkline_columns =
      columns > left.columns + kLeastColumns ? columns - left.columns - 1 : kLeastColumns;
  std::vector<Cell> notes = Notes(lines, now_ns);
  // Besides: the heading, how many more there are, and the line that the cursor is on.
  const int room_left = screen_.terminal().rows - 3 - static_cast<int>(notes.size());
  const size_t room = static_cast<size_t>(std::max(room_left, 1));
  left.headings.push_back("P99 OVER TIME");
  Table table(left.headings);
  auto cells = left.rows.begin();
  for (const Line* line : lines) {
    if (static_cast<size_t>(cells - left.rows.begin()) == room) break;
    const Row& row = line->second;
    const std::vector<double> values(row.p99_ms.begin(), row.p99_ms.end());
    cells->emplace_back(IsMeasurable(row.last)
                            ? Sparkline(values, sparkline_columns, screen_.terminal().utf8)
                            : "not measurable");
    table.Row(std::move(*cells++));
  }
  if (rows_.empty()) {
    out.Line("waiting for measurements...");
  } else {
    table.Print(out);
  }
  if (rows_.size() > room) {
    notes.emplace_back(fmt::format("({} more lines)", rows_.size() - room), Style::kWarning);
  }
  for (const Cell& note : notes) out.Line(out.Styled(note.text, note.style));
  return ClippedLines(text.str(), columns);
}

}  // namespace faultline::cli
