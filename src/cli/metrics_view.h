// The live picture of `faultline metrics` in a terminal: a line per experiment and target.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "chaos/v1/metrics.pb.h"
#include "cli/screen.h"
#include "cli/table.h"

namespace faultline::cli {

// Pure; times are given. One thread.
class MetricsView {
 public:
  // Values of the sparkline kept per line.
  static constexpr size_t kHistory = 200;

  explicit MetricsView(Terminal terminal) : screen_(terminal) {}
  // The terminal as it is now: it may be resized at any time.
  void set_terminal(Terminal terminal) { screen_.set_terminal(terminal); }

  void Add(const chaos::v1::MetricUpdate& update, uint64_t now_ns);

  // The picture, within the terminal's columns and rows; each line is ended by a newline. A line
  // that is silent is faint, and when all are it says for how long.
  std::string Picture(uint64_t now_ns) const;
  // What moves the cursor over the picture drawn before and draws this one.
  std::string Redraw(uint64_t now_ns) { return screen_.Redraw(Picture(now_ns)); }
  std::string Erase() { return screen_.Erase(); }

 private:
  struct Row {
    chaos::v1::MetricUpdate last;
    std::deque<double> p99_ms;  // below 0: nothing measured
    // Since the line is there.
    chaos::v1::TrafficDetail traffic;  // counts
    uint64_t merged = 0, missed = 0;   // batches of measurements
    uint64_t heard_ns = 0;
  };
  using Key = std::pair<std::string, std::string>;  // experiment, target
  // What stands left of the sparkline, and the columns that it takes.
  struct Left {
    std::vector<std::string> headings;
    std::vector<std::vector<Cell>> rows;
    size_t columns = 0;
  };
  // Columns that are there when some line has something in them.
  struct Extra {
    bool delay = false, waited = false, handshake = false, rtt = false;
  };
  Extra WhatIsThere() const;
  static std::vector<Cell> CellsOf(const Key& key, const Row& row, const Extra& extra,
                                   uint64_t now_ns);
  Left LeftOfSparkline(const Extra& extra, uint64_t now_ns) const;
  std::vector<Cell> Notes(uint64_t now_ns) const;

  Screen screen_;
  std::map<Key, Row> rows_;
  uint64_t heard_ns_ = 0;  // of any
};

}  // namespace faultline::cli
