// Processes that are named by a file with their number in it.
#pragma once

#include <cstdint>
#include <ctime>
#include <map>
#include <mutex>
#include <optional>
#include <string>

namespace faultline::bpf {

// When the process was started, in clock ticks since boot; 0 when it is not there.
uint64_t StartOf(uint64_t pid);

struct PidFile {
  std::string number;
  timespec written{};  // in Unix time
};

// Nothing but what stands on the first line, in a file that can be read without waiting: who owns
// the file may be the service itself.
std::optional<PidFile> ReadPidFile(const std::string& path);

// The number that a dead service has left in its file may be another process's by now. Thread-safe.
class PidFiles {
 public:
  // Whether the process is the one that the file at `path` means. For a file that is seen first,
  // and for one that has been written again, Unix time tells: it is not if it was started later.
  // From then on it is the same as long as it was started when it was, wherever the Unix clock has
  // been set to.
  bool Means(const std::string& path, const timespec& written, uint64_t pid, time_t unix_now);

 private:
  struct Meant {
    timespec written{};
    uint64_t pid = 0;
    uint64_t started = 0;
  };

  std::mutex mutex_;
  std::map<std::string, Meant> meant_;  // by path, of those that targets name
};

}  // namespace faultline::bpf
