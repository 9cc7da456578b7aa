#include "cli/report_html.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "cli/report_chart.h"
#include "cli/report_sections.h"

namespace faultline::cli {
namespace {

constexpr std::string_view kStyle = R"(
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --line: #d9dee5; --page: #fff;
  --shade: #f0a03026; --p50: #1f77b4; --p99: #c0392b; --drop: #8e5bb5; --warn: #fff4d6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #9aa5b4; --line: #39424e;
  --page: #161b22; --shade: #f0a03033; --p50: #6cb2eb; --p99: #ff7b6b; --drop: #c39be0;
  --warn: #3c3318; } }
body { margin: 2rem auto; max-width: 62rem; padding: 0 1rem; color: var(--ink);
  background: var(--page); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 1rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .3rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .2rem; font-weight: 600; }
p.note { color: var(--soft); margin: 0 0 .6rem; }
p.warning { background: var(--warn); padding: .5rem .8rem; border-radius: .3rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.2rem; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
td { overflow-wrap: anywhere; } td:first-child { min-width: 7rem; }
td span { white-space: nowrap; overflow-wrap: normal; }
th { color: var(--soft); font-weight: 500; font-size: .85rem; }
svg { width: 100%; height: auto; display: block; }
svg .fault { fill: var(--shade); } svg .grid { stroke: var(--line); } svg .axis { stroke: var(--soft); }
svg .gap { fill: var(--line); opacity: .5; }
svg .tick { fill: var(--soft); font: 12px system-ui, sans-serif; }
svg path { fill: none; stroke-width: 1.8; } svg path.p50 { stroke: var(--p50); }
svg path.p99 { stroke: var(--p99); } svg circle.p50 { fill: var(--p50); }
svg circle.p99 { fill: var(--p99); } svg .drop { fill: var(--drop); }
.legend { color: var(--soft); font-size: .85rem; margin: 0 0 .3rem; }
.legend i { display: inline-block; width: 1rem; height: .7rem; margin: 0 .35rem 0 1rem;
  vertical-align: baseline; border-radius: 2px; }
)";

// "PER SECOND" as "Per second".
std::string Heading(std::string text) {
  for (size_t i = 1; i < text.size(); ++i) text[i] = static_cast<char>(std::tolower(text[i]));
  return HtmlEscaped(text);
}

// Numbers stay on one line with their unit, and so does the interval behind them; all else may
// break anywhere, so that a page of usual width never scrolls sideways.
std::string CellHtml(const std::string& cell) {
  constexpr size_t kMaxTogether = 26;
  const size_t interval = std::min(cell.find(" ("), cell.size());
  std::string html;
  for (const std::string& part : {cell.substr(0, interval), cell.substr(interval)}) {
    const size_t blank = part.starts_with(' ') ? 1 : 0;
    const std::string words = part.substr(blank);
    const bool together =
        words.size() <= kMaxTogether && !words.empty() &&
        (std::isdigit(static_cast<unsigned char>(words.front())) || words.front() == '(');
    const std::string escaped = HtmlEscaped(words);
    html += part.substr(0, blank) + (together ? "<span>" + escaped + "</span>" : escaped);
  }
  return html;
}

std::string TableOf(const Section& section) {
  std::string html = "<div class=\"scroll\"><table><thead><tr>";
  for (const auto& heading : section.headings) html += "<th>" + Heading(heading) + "</th>";
  html += "</tr></thead><tbody>\n";
  for (const auto& row : section.rows) {
    html += "<tr>";
    for (const auto& cell : row) html += "<td>" + CellHtml(cell) + "</td>";
    html += "</tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

std::string ChartsOf(const chaos::v1::Report& report) {
  std::string html;
  int charts = 0;
  for (const auto& target : report.targets()) {
    const std::string chart = CourseChart(target);
    if (chart.empty() || charts == kMaxCharts) continue;
    ++charts;
    html += "<h3>" + HtmlEscaped(target.target_id()) + "</h3>" + chart + "\n";
  }
  if (charts == 0) return "";
  const std::string note = report.targets_size() > charts
                               ? fmt::format("<p class=\"note\">The first {} of {} targets.</p>",
                                             charts, report.targets_size())
                               : "";
  return "<h2>Course</h2>" + note +
         "<p class=\"legend\">Request time, logarithmic:<i style=\"background:var(--p50)\"></i>p50"
         "<i style=\"background:var(--p99)\"></i>p99<i style=\"background:var(--shade)\"></i>fault "
         "on<i style=\"background:var(--drop)\"></i>packets dropped<i "
         "style=\"background:var(--line)\"></i>nothing known</p>" +
         html;
}

}  // namespace

std::string ToHtml(const chaos::v1::Report& report) {
  const ReportSections all = SectionsOf(report);
  const std::string id = HtmlEscaped(report.experiment().experiment_id());
  std::string html = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
      "<title>Report of {0}</title><style>{1}</style></head><body>\n<h1>Report of {0}</h1>\n<dl>",
      id, kStyle);
  for (const auto& [name, value] : all.facts) {
    html += fmt::format("<dt>{}</dt><dd>{}</dd>", HtmlEscaped(name), HtmlEscaped(value));
  }
  html += "</dl>\n";
  for (const auto& warning : all.warnings) {
    html += "<p class=\"warning\">" + HtmlEscaped(warning) + "</p>\n";
  }
  bool charted = false;
  for (const Section& section : all.sections) {
    html += "<h2>" + HtmlEscaped(section.title) + "</h2>\n";
    if (!section.note.empty()) html += "<p class=\"note\">" + HtmlEscaped(section.note) + "</p>\n";
    html += TableOf(section);
    // Below what was asked, or whatever comes first.
    if (!std::exchange(charted, true)) html += ChartsOf(report);
  }
  return html + "</body></html>\n";
}

}  // namespace faultline::cli
