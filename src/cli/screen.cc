#include "cli/screen.h"

#include <algorithm>
#include <sstream>

#include "cli/format.h"

namespace faultline::cli {

std::string SilenceText(uint64_t heard_ns, uint64_t now_ns) {
  if (now_ns < heard_ns + kSilentNs) return "";
  return fmt::format("last update {} ago", FormatDuration(static_cast<int64_t>(now_ns - heard_ns)));
}

std::string ClippedLines(const std::string& text, size_t columns) {
  std::istringstream lines(text);
  std::string clipped, line;
  while (std::getline(lines, line)) clipped += Clipped(line, columns) + "\n";
  return clipped;
}

void Screen::set_terminal(Terminal terminal) {
  resized_ |= terminal.columns != terminal_.columns || terminal.rows != terminal_.rows;
  terminal_ = terminal;
}

std::string Screen::Redraw(const std::string& picture) {
  // A terminal that was resized has wrapped its lines anew: nobody knows where they are.
  const std::string back = resized_           ? "\033[2J\033[H"
                           : lines_drawn_ > 0 ? fmt::format("\r\033[{}A\033[J", lines_drawn_)
                                              : "";
  resized_ = false;
  lines_drawn_ = static_cast<size_t>(std::count(picture.begin(), picture.end(), '\n'));
  return back + picture;
}

}  // namespace faultline::cli
