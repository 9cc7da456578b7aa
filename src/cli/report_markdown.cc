// A report as Markdown.
#include <string_view>

#include "cli/report_sections.h"

namespace faultline::cli {
namespace {

// On one line, with nothing that Markdown would take for markup.
std::string MarkdownText(const std::string& text) {
  constexpr std::string_view kMarkup = "\\`*_[]<>#|&~";
  std::string escaped;
  for (const char c : text) {
    if (kMarkup.find(c) != std::string_view::npos) escaped += '\\';
    escaped += c == '\n' || c == '\r' ? ' ' : c;
  }
  return escaped;
}

std::string MarkdownRow(const std::vector<std::string>& cells) {
  std::string row = "|";
  for (const auto& cell : cells) row += " " + (cell.empty() ? "-" : MarkdownText(cell)) + " |";
  return row + "\n";
}

}  // namespace

std::string ToMarkdown(const chaos::v1::Report& report) {
  const ReportSections all = SectionsOf(report);
  std::string text =
      fmt::format("# Report of {}\n\n", MarkdownText(report.experiment().experiment_id()));
  const auto item = [&text](const std::string& name, const std::string& value) {
    text += fmt::format("- {}: {}\n", name, MarkdownText(value));
  };
  for (const auto& [name, value] : all.facts) item(name, value);
  for (const auto& warning : all.warnings) item("**note**", warning);
  for (const Section& section : all.sections) {
    text += fmt::format("\n## {}\n\n", section.title);
    if (!section.note.empty()) text += section.note + "\n\n";
    text += MarkdownRow(section.headings);
    text += MarkdownRow(std::vector<std::string>(section.headings.size(), "---"));
    for (const auto& row : section.rows) text += MarkdownRow(row);
  }
  return text;
}

}  // namespace faultline::cli
