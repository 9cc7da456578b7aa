// The picture of `faultline metrics --live`: percentiles, requests and drops over time, one column
// for each second, over all targets from merged histograms or for each target.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>

#include "base/histogram.h"
#include "chaos/v1/metrics.pb.h"
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

  // Updates with histograms. Times do not go back.
  void Add(const chaos::v1::MetricUpdate& update, uint64_t now_ns);

  // Within the terminal's columns and rows; each line is ended by a newline. When nothing came for
  // long it says for how long.
  std::string Picture(uint64_t now_ns);
  // What moves the cursor over the picture drawn before and draws this one.
  std::string Redraw(uint64_t now_ns) { return screen_.Redraw(Picture(now_ns)); }
  std::string Erase() { return screen_.Erase(); }

  // For a pipe: a line for each second that is over since the last call, and each target or all.
  std::string LinesUntil(uint64_t now_ns);

 private:
  struct Column {
    Histogram latency, handshake, rtt;
    chaos::v1::TrafficDetail traffic;  // its counts
    uint64_t dropped = 0;
    uint64_t merged = 0, missed = 0;  // batches of measurements
  };
  struct Series {
    std::deque<Column> columns;  // the last one is the present second's
    uint64_t first_second = 0;   // of columns.front()
  };
  struct Heights {
    double p50_ms, p99_ms;  // below 0: nothing measured
  };

  Series& SeriesOf(const std::string& target);
  Column& ColumnAt(Series& series, uint64_t second);
  std::string Chart(const std::string& name, const Series& series, size_t rows) const;
  std::string Summary(const std::string& name, const Column& column) const;

  Screen screen_;
  const bool per_target_;
  uint64_t heard_ns_ = 0;                 // of the newest update
  uint64_t second_ = 0;                   // the present one
  uint64_t printed_ = 0;                  // seconds before it are printed
  std::map<std::string, Series> series_;  // by target; "all targets" when they are merged
  // A target in several experiments is counted once.
  std::map<std::string, std::string> owner_;                           // experiment, by target
  std::map<std::pair<std::string, std::string>, int64_t> last_drops_;  // by experiment and target
};

}  // namespace faultline::cli
