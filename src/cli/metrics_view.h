// The live picture of `faultline metrics` in a terminal: a line per experiment and target.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "chaos/v1/metrics.pb.h"
#include "cli/format.h"
#include "cli/screen.h"
#include "cli/table.h"

namespace faultline::cli {

// Pure; times are given. One thread.
class MetricsView {
 public:
  // Values of the sparkline kept per line.
  static constexpr size_t kHistory = 200;
  // A line that is silent for so long is taken out while others are not.
  static constexpr uint64_t kForgetNs = 60'000'000'000;

  // `update_ns`: the time between two updates of a line that was asked for.
  explicit MetricsView(Terminal terminal, uint64_t update_ns = 0)
      : screen_(terminal),
        silent_ns_(std::max(kSilentNs, 3 * update_ns)),
        forget_ns_(std::max(kForgetNs, 3 * update_ns)) {}
  // The terminal as it is now: it may be resized at any time.
  void set_terminal(Terminal terminal) { screen_.set_terminal(terminal); }

  void Add(const chaos::v1::MetricUpdate& update, uint64_t now_ns);
  // The experiment has ended: nothing more comes for its lines.
  void End(const std::string& experiment_id);

  // The picture, within the terminal's columns and rows; each line is ended by a newline. A line
  // that is silent, or of an ended experiment, is faint and stands below the others; when all are
  // silent it says for how long.
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
    uint64_t delays_without_room = 0;
    uint64_t heard_ns = 0;
    bool ended = false;
  };
  using Key = std::pair<std::string, std::string>;  // experiment, target
  struct KeyLess {
    bool operator()(const Key& a, const Key& b) const;
  };
  using Rows = std::map<Key, Row, KeyLess>;
  using Line = Rows::value_type;
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
  bool IsLive(const Row& row, uint64_t now_ns) const;
  // As they are shown.
  std::vector<const Line*> Ordered(uint64_t now_ns) const;
  Extra WhatIsThere() const;
  std::vector<Cell> CellsOf(const Line& line, const Extra& extra, uint64_t now_ns) const;
  Left LeftOfSparkline(const std::vector<const Line*>& lines, const Extra& extra,
                       uint64_t now_ns) const;
  std::vector<Cell> Notes(const std::vector<const Line*>& lines, uint64_t now_ns) const;

  Screen screen_;
  const uint64_t silent_ns_, forget_ns_;
  Rows rows_;
  uint64_t heard_ns_ = 0;    // of any
  uint64_t since_ns_ = 0;    // since then there was no time in which all were silent
  uint64_t cleared_ns_ = 0;  // when lines were last taken out
};

}  // namespace faultline::cli
