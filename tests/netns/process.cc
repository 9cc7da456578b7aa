#include "netns/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sstream>

extern char** environ;

namespace faultline::netns_test {
namespace {

// The words as posix_spawn wants them; good as long as `command` is.
std::vector<char*> ArgumentsOf(const std::vector<std::string>& command) {
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  return arguments;
}

}  // namespace

Process::Process(const std::vector<std::string>& command) {
  EXPECT_EQ(posix_spawnp(&pid_, command[0].c_str(), nullptr, nullptr, ArgumentsOf(command).data(),
                         environ),
            0)
      << testing::PrintToString(command);
}

Process::~Process() {
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

std::string RunAnyhow(const std::vector<std::string>& command, int* exit_code) {
  int out[2];
  EXPECT_EQ(pipe2(out, O_CLOEXEC), 0);  // a daemon that it starts would keep it open
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  posix_spawn_file_actions_addclose(&actions, out[0]);
  std::vector<char*> arguments = ArgumentsOf(command);
  pid_t pid = 0;
  const int error = posix_spawnp(&pid, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(out[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t got; (got = read(out[0], buffer, sizeof(buffer))) > 0;) text.append(buffer, got);
  close(out[0]);
  int status = 0;
  if (error == 0) waitpid(pid, &status, 0);
  *exit_code = error != 0 ? 127 : WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  return text;
}

std::string RunProgram(const std::vector<std::string>& command) {
  int exit_code = 0;
  std::string text = RunAnyhow(command, &exit_code);
  EXPECT_EQ(exit_code, 0) << testing::PrintToString(command);
  return text;
}

uint64_t KernelCount(const std::string& netns, const std::string& name) {
  std::istringstream words(RunProgram({"ip", "netns", "exec", netns, "nstat", "-asz", name}));
  uint64_t count = 0;
  for (std::string word; words >> word;) {
    if (word == name && words >> count) return count;
  }
  ADD_FAILURE() << "nstat tells of no " << name;
  return 0;
}

void RunBatch(std::vector<std::string> command, const std::vector<std::string>& lines, bool must) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  // The program inherits it.
  const int file = memfd_create("batch", 0);
  EXPECT_EQ(write(file, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  command.insert(command.end(), {"-batch", "/proc/self/fd/" + std::to_string(file)});
  int exit_code = 0;
  RunAnyhow(command, &exit_code);
  EXPECT_TRUE(exit_code == 0 || !must) << text;
  close(file);
}

}  // namespace faultline::netns_test
