#include "netns/forked_driver.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sstream>
#include <string>

namespace faultline::netns_test {
namespace {

using Records = std::map<uint64_t, MemoryUndoLog::Record_>;

constexpr char kArmed[] = "armed\n";

// A line for each word: kind, number of arguments, arguments.
std::string TextOf(const Records& records) {
  std::string text;
  for (const auto& [handle, record] : records) {
    text += fmt::format("{}\n{}\n", record.kind, record.arguments.size());
    for (const std::string& argument : record.arguments) text += argument + "\n";
  }
  return text;
}

Records RecordsIn(const std::string& text) {
  Records records;
  std::istringstream lines(text);
  std::string line;
  while (std::getline(lines, line)) {
    MemoryUndoLog::Record_ record{line, {}};
    std::getline(lines, line);
    for (size_t left = std::stoul(line); left > 0 && std::getline(lines, line); --left) {
      record.arguments.push_back(line);
    }
    records.emplace(records.size(), record);
  }
  return records;
}

[[noreturn]] void Serve(const MemoryUndoLog& undo, const std::function<void()>& arm,
                        bpf::UniqueFd told) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that crashes leaves it not behind
  arm();
  const std::string text = TextOf(undo.records()) + (testing::Test::HasFailure() ? "" : kArmed);
  (void)!write(told.get(), text.data(), text.size());
  told.Reset();
  while (true) pause();
}

}  // namespace

ForkedDriver::ForkedDriver(const MemoryUndoLog& undo, const std::function<void()>& arm) {
  int ends[2] = {-1, -1};
  EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const bpf::UniqueFd from(ends[0]);
  bpf::UniqueFd told(ends[1]);
  pid_ = fork();
  EXPECT_GE(pid_, 0);
  if (pid_ == 0) Serve(undo, arm, std::move(told));
  told.Reset();
  std::string text;
  char bytes[4096];
  for (ssize_t got; (got = read(from.get(), bytes, sizeof(bytes))) > 0;) {
    text.append(bytes, static_cast<size_t>(got));
  }
  const bool armed = text.ends_with(kArmed);
  EXPECT_TRUE(armed) << "the other process says why";
  if (armed) journal_ = RecordsIn(text.substr(0, text.size() - (sizeof(kArmed) - 1)));
}

void ForkedDriver::Kill() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

}  // namespace faultline::netns_test
