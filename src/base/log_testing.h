// What the log says while a test does something.
#pragma once

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <sstream>
#include <string>
#include <vector>

#include "base/log.h"

namespace faultline {

// The log of a program "test" from debug on, in that format, while `task` runs.
template <typename Task>
std::string Logged(const std::string& format, Task task) {
  spdlog::drop_all();
  testing::internal::CaptureStderr();
  EXPECT_TRUE(InitLog("test", "debug", format).ok());
  task();
  spdlog::default_logger()->flush();
  return testing::internal::GetCapturedStderr();
}

// Its lines as text, without time and program: "I experiment e1 is active experiment_id=e1".
template <typename Task>
std::vector<std::string> LoggedLines(Task task) {
  constexpr std::string_view kProgram = " test: ";
  std::istringstream text(Logged("text", task));
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);) {
    const size_t at = line.find(kProgram);
    if (at == std::string::npos || at == 0) {
      ADD_FAILURE() << "not a line of the log: " << line;
      continue;
    }
    lines.push_back(line.substr(at - 1, 2) + line.substr(at + kProgram.size()));
  }
  return lines;
}

}  // namespace faultline
