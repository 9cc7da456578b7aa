// The picture of `faultline metrics --live`: percentiles, requests and drops over time, one column
// for each second, over all targets from merged histograms or for each target. Rates are what came
// in a second by the time that it was measured for, which `--rate` makes longer.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>

#include "base/histogram.h"
#include "chaos/v1/metrics.pb.h"
#include "cli/format.h"
#include "cli/screen.h"

namespace faultline::cli {

// Whether the update is a point of an ended experiment's course: it has no histogram to draw from.
bool IsPast(const chaos::v1::MetricUpdate& update);
// Such a point as a line, with its end.
std::string PastLine(const chaos::v1::MetricUpdate& update, int64_t now_unix_ns);

// Pure; times are given. One thread.
class LiveChart {
 public:
  static constexpr uint64_t kColumnNs = 1'000'000'000;
  // Seconds that are kept, and charts drawn, at the most.
  static constexpr size_t kMaxColumns = 600;
  static constexpr size_t kMaxCharts = 16;

  LiveChart(Terminal terminal, bool per_target) : screen_(terminal), per_target_(per_target) {}
  void set_terminal(Terminal terminal) { screen_.set_terminal(terminal); }

  // Updates with histograms. Times do not go back. A target in several experiments is counted once.
  void Add(const chaos::v1::MetricUpdate& update, uint64_t now_ns);

  // Within the terminal's columns and rows; each line is ended by a newline. When nothing came for
  // long it says for how long. In a terminal too low for a chart only the line of the last second.
  std::string Picture(uint64_t now_ns);
  // What moves the cursor over the picture drawn before and draws this one.
  std::string Redraw(uint64_t now_ns) { return screen_.Redraw(Picture(now_ns)); }
  std::string Erase() { return screen_.Erase(); }

  // For a pipe: a line for each second that is over since the last call, and each target or all.
  std::string LinesUntil(uint64_t now_ns);
  // Nothing more comes: also that of the present second, if something came in it.
  std::string LinesToTheEnd(uint64_t now_ns);

  // Seconds, of all series, of which more is held than what a column shows.
  size_t detailed_seconds() const;

 private:
  using TargetKey = std::pair<std::string, uint64_t>;    // target, its agent's incarnation
  using DropsKey = std::pair<std::string, std::string>;  // experiment, target
  struct Requests {
    uint64_t count = 0, measured_ns = 0;
    chaos::v1::TrafficDetail traffic;  // its counts
  };
  struct Drops {
    uint64_t count = 0;
    double counted_ns = 0;
  };
  // All that was measured in a second. Targets, and their experiments, were measured at the same
  // time: their rates add up.
  struct Detail {
    SparseBuckets latency, handshake, rtt;
    std::map<std::string, Requests> requests;  // by target
    std::map<DropsKey, Drops> drops;
    uint64_t merged = 0, missed = 0;  // batches of measurements
  };
  // What a column shows. Percentiles are 0, and rates below 0, when nothing was measured.
  struct Numbers {
    double p50_ms = 0, p90_ms = 0, p99_ms = 0;
    double requests_per_second = -1, drops_per_second = -1;
  };
  struct Column {
    std::unique_ptr<Detail> detail;  // of the last seconds, when something was measured
    Numbers numbers;                 // of those before
  };
  struct Series {
    std::deque<Column> columns;  // the last one is the present second's
    uint64_t first_second = 0;   // of columns.front()
    uint64_t detailed_from = 0;  // seconds before it have no detail
  };

  Column& ColumnAt(Series& series, uint64_t second);
  bool IsNew(const chaos::v1::MetricUpdate& update);
  static void AddMeasured(const chaos::v1::MetricUpdate& update, Detail& detail);
  void AddDrops(const chaos::v1::MetricUpdate& update, Detail& detail);
  static Numbers NumbersOf(const Column& column);
  std::string Chart(const std::string& name, const Series& series, size_t rows) const;
  std::string Charts(uint64_t now_ns) const;
  std::string Summaries(uint64_t now_ns) const;
  std::string Summary(const std::string& name, const Column& column) const;
  std::string LastSummary(const std::string& name, const Series& series) const;
  std::string Remarks(size_t series_shown, uint64_t now_ns) const;

  Screen screen_;
  const bool per_target_;
  uint64_t heard_ns_ = 0;                              // of the newest update
  uint64_t second_ = 0;                                // the present one
  uint64_t printed_ = 0;                               // seconds before it are printed, or drawn
  std::map<std::string, Series, NaturalLess> series_;  // by target; "all targets": merged
  std::map<TargetKey, uint64_t> counted_;              // sequences up to it are in the columns
  std::map<DropsKey, int64_t> last_drops_;
};

}  // namespace faultline::cli
