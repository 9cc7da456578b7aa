// A report as tables of texts, the same for the terminal, Markdown and HTML.
#pragma once

#include <optional>
#include <string>
#include <utility>
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
// measured, delays, request times by phase, targets, what happened.
struct ReportSections {
  std::vector<std::pair<std::string, std::string>> facts;
  std::vector<Section> sections;
  std::vector<std::string> warnings;  // sentences about what is missing
};
// Times are written for whoever reads them at `now_unix_ns`; without it, for a file, which is read
// at any time and place, with date and zone.
ReportSections SectionsOf(const chaos::v1::Report& report,
                          std::optional<int64_t> now_unix_ns = std::nullopt);

// "99.8 ms (99.6 to 100.1)".
std::string WithInterval(double value, std::optional<double> low, std::optional<double> high,
                         const std::string& unit);

// What people, targets and programs have called things is text in it, never markup.
std::string ToMarkdown(const chaos::v1::Report& report);

}  // namespace faultline::cli
