// Aligned columns for people.
#pragma once

#include <string>
#include <vector>

#include "cli/output.h"

namespace faultline::cli {

struct Cell {
  Cell(std::string cell_text, Style cell_style = Style::kPlain)  // NOLINT: made from texts
      : text(std::move(cell_text)), style(cell_style) {}
  std::string text;
  Style style;
};

class Table {
 public:
  explicit Table(std::vector<std::string> headings);
  // As many cells as there are headings; an empty text is shown as "-".
  void Row(std::vector<Cell> cells);
  bool empty() const { return rows_.empty(); }
  // Headings and rows, columns two spaces apart, no blanks at a line's end.
  void Print(Output& out, const std::string& indent = "") const;

 private:
  std::vector<std::string> headings_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace faultline::cli
