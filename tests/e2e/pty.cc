#include "e2e/pty.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "base/clock.h"

namespace faultline::e2e {
namespace {

constexpr uint64_t kPatienceNs = 60 * kNanosPerSecond;
constexpr int kPollMs = 50;

bool ContinuesACharacter(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

}  // namespace

void Screen::Resize(size_t columns, size_t rows) {
  columns_ = columns;
  cells_.resize(rows);
  for (auto& line : cells_) line.resize(columns, " ");
  row_ = std::min(row_, rows - 1);
  column_ = std::min(column_, columns - 1);
}

void Screen::Print(std::string_view bytes) {
  for (const char byte : bytes) PrintByte(byte);
}

void Screen::PrintByte(char byte) {
  if (byte == '\033') {
    sequence_ = byte;
  } else if (sequence_.empty()) {
    Put(byte);
  } else {
    sequence_ += byte;
    if (byte == '[' || !std::isalpha(static_cast<unsigned char>(byte))) return;
    Obey(sequence_.substr(2, sequence_.size() - 3), byte);
    sequence_.clear();
  }
}

void Screen::Put(char byte) {
  if (byte == '\r') {
    column_ = 0;
  } else if (byte == '\n') {
    LineFeed();
  } else if (ContinuesACharacter(byte)) {
    cells_[row_][column_ - 1] += byte;
  } else {
    if (column_ == columns_) {
      column_ = 0;
      LineFeed();
    }
    cells_[row_][column_++] = byte;
  }
}

void Screen::LineFeed() {
  if (++row_ < cells_.size()) return;
  row_ = cells_.size() - 1;
  cells_.erase(cells_.begin());
  cells_.emplace_back(columns_, " ");
}

void Screen::Obey(const std::string& parameters, char command) {
  const size_t number = std::strtoul(parameters.c_str(), nullptr, 10);
  if (parameters.starts_with('?') && (command == 'h' || command == 'l')) {
    modes_[parameters] = command == 'h';
  } else if (command == 'A') {
    row_ -= std::min(row_, std::max<size_t>(number, 1));
  } else if (command == 'H' && parameters.empty()) {
    row_ = column_ = 0;
  } else if (command == 'J') {
    const bool all = number == 2;
    for (size_t i = all ? 0 : row_; i < cells_.size(); ++i) {
      const size_t from = !all && i == row_ ? column_ : 0;
      std::fill(cells_[i].begin() + static_cast<std::ptrdiff_t>(from), cells_[i].end(), " ");
    }
  } else if (command != 'm') {
    unknown_.push_back(parameters + command);
  }
}

std::vector<std::string> Screen::Lines() const {
  std::vector<std::string> lines;
  for (const auto& cells : cells_) {
    std::string& line = lines.emplace_back();
    for (const auto& cell : cells) line += cell;
    line.erase(line.find_last_not_of(' ') + 1);
  }
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

size_t Screen::Count(const std::string& text) const {
  const auto lines = Lines();
  return static_cast<size_t>(std::count_if(lines.begin(), lines.end(), [&](const auto& line) {
    return line.find(text) != std::string::npos;
  }));
}

Pty::Pty(const std::string& command, unsigned short columns, unsigned short rows)
    : screen_(columns, rows) {
  const winsize size{rows, columns, 0, 0};
  pid_ = forkpty(&master_, nullptr, nullptr, &size);
  EXPECT_GE(pid_, 0);
  if (pid_ != 0) return;
  setenv("TERM", "xterm", 1);
  execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
  _exit(127);
}

Pty::~Pty() {
  close(master_);
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

void Pty::Resize(unsigned short columns, unsigned short rows) {
  const winsize size{rows, columns, 0, 0};
  EXPECT_EQ(ioctl(master_, TIOCSWINSZ, &size), 0);
  screen_.Resize(columns, rows);
}

void Pty::Type(std::string_view keys) const {
  EXPECT_EQ(write(master_, keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
}

bool Pty::Take() {
  pollfd ready{master_, POLLIN, 0};
  if (poll(&ready, 1, kPollMs) <= 0) return true;
  char buffer[4096];
  const ssize_t size = read(master_, buffer, sizeof buffer);
  if (size <= 0) return false;
  const std::string_view bytes(buffer, static_cast<size_t>(size));
  printed_ += bytes;
  screen_.Print(bytes);
  return true;
}

bool Pty::Until(const std::function<bool(const Screen&)>& wanted) {
  const uint64_t late_ns = MonotonicNowNs() + kPatienceNs;
  while (!wanted(screen_)) {
    if (MonotonicNowNs() >= late_ns || !Take()) return wanted(screen_);
  }
  return true;
}

bool Pty::UntilItShows(const std::string& text) {
  return Until([&](const Screen& screen) { return screen.Count(text) > 0; });
}

bool Pty::UntilItEnds() {
  const uint64_t late_ns = MonotonicNowNs() + kPatienceNs;
  while (Take()) {
    if (MonotonicNowNs() >= late_ns) return false;
  }
  return true;
}

}  // namespace faultline::e2e
