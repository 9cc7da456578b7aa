// Child processes that must not outlive this one.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"

namespace faultline::cli {

// How a process ended.
struct Ended {
  int exit_code = 0;
  int signal = 0;            // 0: it exited by itself
  std::string Text() const;  // "with exit code 2", "by signal 9 (Killed)"
};

// One child. To be used by the thread that started it, which must live as long as the child: the
// kernel sends SIGTERM to the child when that thread ends.
class Child {
 public:
  // Runs `arguments` (the first is the program's path) in a process group of its own, so that
  // Ctrl-C reaches only this process. Its output goes to `log_path`, or where ours goes when that
  // is empty.
  static StatusOr<Child> Start(const std::vector<std::string>& arguments,
                               const std::string& log_path);
  Child(Child&& other) noexcept;
  Child& operator=(Child&&) = delete;
  // Kills it if it still runs.
  ~Child();

  pid_t pid() const { return pid_; }
  // How it ended, once it has.
  std::optional<Ended> Poll();
  // SIGTERM, after `grace` SIGKILL; waits for the end.
  Ended Terminate(std::chrono::milliseconds grace);

 private:
  explicit Child(pid_t pid) : pid_(pid) {}
  pid_t pid_ = -1;
  std::optional<Ended> ended_;
};

// Path of a program that comes with this one: beside `self_directory`, in ../sbin or ../bin of it,
// in PATH, in the system's sbin directories. NOT_FOUND otherwise.
StatusOr<std::string> FindProgram(const std::string& name, const std::string& self_directory);

// Directory of the running program.
std::string SelfDirectory();

}  // namespace faultline::cli
