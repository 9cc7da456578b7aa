// How a benchmark says what it measured: one JSON object a line on standard output, and an exit
// code that is not 0 when a goal does not hold.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace faultline::bench {

// `values` in any order; the nearest rank. NaN of no values.
inline double Percentile(std::vector<double> values, double percent) {
  if (values.empty()) return NAN;
  const auto rank =
      static_cast<size_t>(std::ceil(percent / 100 * static_cast<double>(values.size())));
  std::sort(values.begin(), values.end());
  return values[std::max<size_t>(rank, 1) - 1];
}

// Units of what means something in an emulated machine too: ratios ("", "x", "%") and counts.
inline const std::set<std::string> kMeantAnywhere{"", "x", "%", "packets", "updates"};

class Report {
 public:
  explicit Report(std::string bench) : bench_(std::move(bench)) {}

  // A figure that should be at most `goal` (no goal: just shown).
  void AtMost(const std::string& metric, double value, const std::string& unit,
              std::optional<double> goal) {
    nlohmann::ordered_json line = Line(metric, value, unit);
    // What could not be measured does not hold, here and below.
    if (goal) Judge(*goal, value <= *goal, unit, &line);
    Print(line);
  }

  // A figure that should be at least `goal`.
  void AtLeast(const std::string& metric, double value, const std::string& unit, double goal) {
    nlohmann::ordered_json line = Line(metric, value, unit);
    Judge(goal, value >= goal, unit, &line);
    Print(line);
  }

  // A figure beside what something else takes in the same run.
  void Beside(const std::string& metric, double value, const std::string& unit,
              const std::string& peer, double peer_value) {
    nlohmann::ordered_json line = Line(metric, value, unit);
    line["peer"] = peer;
    line["peer_value"] = peer_value;
    if (peer_value != 0) line["ratio"] = value / peer_value;
    Print(line);
  }

  // The benchmark could not be run: says why on standard error.
  void Fail(const std::string& why) {
    std::fprintf(stderr, "%s: %s\n", bench_.c_str(), why.c_str());
    failed_ = true;
  }

  int ExitCode() const { return failed_ ? 1 : 0; }

 private:
  nlohmann::ordered_json Line(const std::string& metric, double value, const std::string& unit) {
    return {{"bench", bench_}, {"metric", metric}, {"value", value}, {"unit", unit}};
  }
  // In an emulated machine (FAULTLINE_BENCH_ONLY_RATIOS) only ratios and counts are judged: times,
  // rates, processors and memory are the emulator's.
  void Judge(double goal, bool holds, const std::string& unit, nlohmann::ordered_json* line) {
    const bool only_ratios = std::getenv("FAULTLINE_BENCH_ONLY_RATIOS") != nullptr;
    if (only_ratios && !kMeantAnywhere.contains(unit)) return;
    (*line)["goal"] = goal;
    (*line)["holds"] = holds;
    failed_ |= !holds;
  }
  static void Print(const nlohmann::ordered_json& line) {
    std::printf("%s\n", line.dump().c_str());
    std::fflush(stdout);
  }

  const std::string bench_;
  bool failed_ = false;
};

}  // namespace faultline::bench
