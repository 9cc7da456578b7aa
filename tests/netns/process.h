// Other programs that tests run.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace faultline::netns_test {

// Runs a program and waits; its standard output. Fails the test when it fails.
std::string RunProgram(const std::vector<std::string>& command);
// The same, with the exit code as by the shell, whatever it is.
std::string RunAnyhow(const std::vector<std::string>& command, int* exit_code);

// The kernel's own count of that name ("TcpRetransSegs") in a network namespace, as `nstat` tells
// it.
uint64_t KernelCount(const std::string& netns, const std::string& name);

// Has `ip` or `tc` do several things in one call, each a line of its "-batch". Unless it must, it
// may fail.
void RunBatch(std::vector<std::string> command, const std::vector<std::string>& lines,
              bool must = true);

// A program that runs until this is destroyed.
class Process {
 public:
  explicit Process(const std::vector<std::string>& command);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = 0;
};

}  // namespace faultline::netns_test
