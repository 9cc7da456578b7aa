// A child process of a test: started, watched through its log, ended.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace faultline::cluster {

// A directory under /tmp that goes with the object.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class Process {
 public:
  // Standard output and error go to `log_path`, after what is there.
  Process(const std::vector<std::string>& command, std::string log_path);
  // Kills what still runs.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void Signal(int signal) const;
  // Waits for the end; exit code, or -signal.
  int Wait();
  // SIGKILL, and waits.
  void Kill();
  bool running();
  std::string log() const;
  // What this one has written of it.
  std::string own_log() const { return log().substr(log_begins_); }
  pid_t pid() const { return pid_; }

 private:
  std::string log_path_;
  size_t log_begins_ = 0;
  pid_t pid_ = -1;
  bool ended_ = false;
  int result_ = 0;
};

// How a program ended, with all that it wrote.
struct Ended {
  int code = -1;
  std::string text;
};
// One of ours that ends by itself.
Ended RunToEnd(const std::string& program, const std::vector<std::string>& arguments);

}  // namespace faultline::cluster
