// Pictures that are drawn over one another in a terminal that may be resized at any time.
#pragma once

#include <cstdint>
#include <string>

#include "cli/output.h"

namespace faultline::cli {

// A stream that gave nothing for so long is silent.
inline constexpr uint64_t kSilentNs = 3'000'000'000;
// "last update 7s ago" of one that is silent, else empty.
std::string SilenceText(uint64_t heard_ns, uint64_t now_ns);

// Each line cut to `columns`; each is ended by a newline.
std::string ClippedLines(const std::string& text, size_t columns);

// Pure; one thread.
class Screen {
 public:
  explicit Screen(Terminal terminal) : terminal_(terminal) {}

  const Terminal& terminal() const { return terminal_; }
  // The terminal as it is now.
  void set_terminal(Terminal terminal);

  // What moves the cursor over the picture drawn before and draws this one, whose lines are ended
  // by newlines and no wider than the terminal.
  std::string Redraw(const std::string& picture);
  // What takes the picture away; the cursor is then where it began.
  std::string Erase() { return Redraw(""); }

 private:
  Terminal terminal_;
  bool resized_ = false;
  size_t lines_drawn_ = 0;
};

}  // namespace faultline::cli
