// A program in a terminal, as a person sees it and types into it.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace faultline::e2e {

// What a terminal shows of what is printed on it. Knows the sequences that faultline uses; any
// other is kept in `unknown`.
class Screen {
 public:
  Screen(size_t columns, size_t rows) { Resize(columns, rows); }
  void Resize(size_t columns, size_t rows);
  void Print(std::string_view bytes);

  // From the top, without blanks at their ends, up to the last one that is not empty.
  std::vector<std::string> Lines() const;
  // Of the lines that hold `text`: how many there are.
  size_t Count(const std::string& text) const;
  // Modes that are set or reset ("?25": the cursor shows; "?1049": the other screen), as last said.
  const std::map<std::string, bool>& modes() const { return modes_; }
  const std::vector<std::string>& unknown() const { return unknown_; }

 private:
  void PrintByte(char byte);
  void Obey(const std::string& parameters, char command);
  void Put(char byte);
  void LineFeed();

  size_t columns_ = 0, row_ = 0, column_ = 0;
  std::vector<std::vector<std::string>> cells_;  // by row and column: a character each
  std::string sequence_;                         // from its escape on; empty: none has begun
  std::map<std::string, bool> modes_;
  std::vector<std::string> unknown_;
};

class Pty {
 public:
  // Runs a shell command, whose terminal is this one.
  Pty(const std::string& command, unsigned short columns, unsigned short rows);
  // Hangs up.
  ~Pty();
  Pty(const Pty&) = delete;
  Pty& operator=(const Pty&) = delete;

  void Resize(unsigned short columns, unsigned short rows);
  void Type(std::string_view keys) const;
  // Takes what is printed until the screen is as wanted; false when it is not within a minute.
  bool Until(const std::function<bool(const Screen&)>& wanted);
  bool UntilItShows(const std::string& text);
  // The same until the command has ended.
  bool UntilItEnds();
  // All that it has printed.
  const std::string& printed() const { return printed_; }
  const Screen& screen() const { return screen_; }

 private:
  // False when nobody has the terminal open any more.
  bool Take();

  Screen screen_;
  std::string printed_;
  int master_ = -1;
  pid_t pid_ = -1;
};

}  // namespace faultline::e2e
