#include "cli/table.h"

#include <algorithm>

#include "cli/format.h"

namespace faultline::cli {

Table::Table(std::vector<std::string> headings) : headings_(std::move(headings)) {}

void Table::Row(std::vector<Cell> cells) {
  for (auto& cell : cells) {
    if (cell.text.empty()) cell.text = "-";
  }
  rows_.push_back(std::move(cells));
}

void Table::Print(Output& out, const std::string& indent) const {
  std::vector<size_t> widths;
  for (size_t column = 0; column < headings_.size(); ++column) {
    size_t width = DisplayWidth(headings_[column]);
    for (const auto& row : rows_) width = std::max(width, DisplayWidth(row[column].text));
    widths.push_back(width);
  }
  const auto print = [&](const std::vector<Cell>& cells) {
    std::string line = indent;
    for (size_t column = 0; column < cells.size(); ++column) {
      const Cell& cell = cells[column];
      line += out.Styled(cell.text, cell.style);
      if (column + 1 < cells.size()) {
        line += std::string(widths[column] - DisplayWidth(cell.text) + 2, ' ');
      }
    }
    out.Line(line);
  };
  std::vector<Cell> head;
  for (const auto& heading : headings_) head.emplace_back(heading, Style::kFaint);
  print(head);
  for (const auto& row : rows_) print(row);
}

}  // namespace faultline::cli
