// A report as tables of texts, the same for the terminal, Markdown and HTML.
#pragma once

#include <string>
#include <vector>

#include "chaos/v1/report.pb.h"

namespace faultline::cli {

struct Section {
  std::string title;
  std::string note;  // a sentence below the title; empty: none
  std::vector<std::string> headings;
  std::vector<std::vector<std::string>> rows;
};

// "key: value" facts about the experiment, then sections without empty ones: what was asked and
// measured, delays, request times by phase, targets, what happened. `now_unix_ns` decides how times
// are written.
struct ReportSections {
  std::vector<std::pair<std::string, std::string>> facts;
  std::vector<Section> sections;
  std::vector<std::string> warnings;  // sentences about what is missing
};
ReportSections SectionsOf(const chaos::v1::Report& report, int64_t now_unix_ns);

// "99.8 ms (99.6 to 100.1)".
std::string WithInterval(double value, double low, double high, const std::string& unit);

std::string ToMarkdown(const chaos::v1::Report& report, int64_t now_unix_ns);

}  // namespace faultline::cli
