#include "bpf/netns_name.h"

#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <ctime>
#include <optional>
#include <string_view>

#include "bpf/cgroup.h"
#include "bpf/pid_file.h"

namespace faultline::bpf {
namespace {

constexpr char kOwnNetns[] = "/proc/thread-self/ns/net";
constexpr std::string_view kPid = "pid:", kCgroup = "cgroup:";
// Of a cgroup's processes so many are asked for their namespace.
constexpr size_t kAskedProcesses = 64;

struct Process {
  uint64_t pid = 0;
  std::optional<uint64_t> started;  // in clock ticks since boot
};

bool ReadNumber(std::string_view text, uint64_t* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size();
}

// "NUMBER" or "NUMBER@TICKS".
std::optional<Process> ParseProcess(std::string_view text) {
  Process process;
  const size_t at = text.find('@');
  if (!ReadNumber(text.substr(0, at), &process.pid) || process.pid == 0) return std::nullopt;
  if (at == std::string_view::npos) return process;
  if (!ReadNumber(text.substr(at + 1), &process.started.emplace())) return std::nullopt;
  return process;
}

std::string FileOf(uint64_t pid) { return "/proc/" + std::to_string(pid) + "/ns/net"; }

// 0: there is none.
ino_t InodeOf(const std::string& file) {
  struct stat facts{};
  return stat(file.c_str(), &facts) == 0 ? facts.st_ino : 0;
}

Status IsOurs(const std::string& name) {
  return MakeError(StatusCode::kUnavailable,
                   "netns '{}': that is the agent's own network namespace; for a service on the "
                   "host's network leave netns out, and name its cgroup or ports",
                   name);
}

StatusOr<std::string> OfProcess(const std::string& name, std::string_view text) {
  static PidFiles pid_files;
  std::string number(text);
  std::optional<PidFile> file;
  if (number.starts_with('/')) {
    file = ReadPidFile(number);
    if (!file) {
      return MakeError(StatusCode::kNotFound, "netns '{}': there is no number in that file", name);
    }
    number = file->number;
  }
  const auto process = ParseProcess(number);
  if (!process) {
    return MakeError(StatusCode::kFailedPrecondition, "netns '{}': '{}' is no process's number",
                     name, number);
  }
  const ino_t inode = InodeOf(FileOf(process->pid));
  if (inode == 0 || (process->started && StartOf(process->pid) != *process->started)) {
    return MakeError(
        StatusCode::kNotFound, "netns '{}': process {} {}", name, process->pid,
        process->started == 0u ? "was not there when the agent was started" : "has ended");
  }
  if (file && !pid_files.Means(std::string(text), file->written, process->pid, time(nullptr))) {
    return MakeError(StatusCode::kNotFound,
                     "netns '{}': process {} is younger than that file, so it is another's", name,
                     process->pid);
  }
  if (inode == InodeOf(kOwnNetns)) return IsOurs(name);
  return FileOf(process->pid);
}

StatusOr<std::string> OfCgroup(const std::string& name, std::string_view path) {
  const auto cgroup = FindCgroup(std::string(path));
  if (!cgroup.ok()) {
    return MakeError(StatusCode::kNotFound, "netns '{}': there is no such cgroup (v2)", name);
  }
  std::string file;
  ino_t inode = 0;
  for (const pid_t pid : ProcessesOf(*cgroup, kAskedProcesses)) {
    const std::string its_file = FileOf(static_cast<uint64_t>(pid));
    const ino_t its_inode = InodeOf(its_file);
    if (its_inode == 0) continue;  // it has just ended
    if (inode != 0 && its_inode != inode) {
      return MakeError(StatusCode::kUnavailable,
                       "netns '{}': its processes are in several network namespaces", name);
    }
    inode = its_inode;
    file = its_file;
  }
  if (inode == 0) {
    return MakeError(StatusCode::kNotFound, "netns '{}': no process is in that cgroup", name);
  }
  if (inode == InodeOf(kOwnNetns)) return IsOurs(name);
  return file;
}

bool IsFileName(std::string_view name) {
  return !name.empty() && name.size() <= 63 && std::ranges::all_of(name, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
  });
}

}  // namespace

bool IsNetnsName(const std::string& name) {
  const std::string_view text = name;
  if (text.starts_with(kPid)) {
    const std::string_view of = text.substr(kPid.size());
    return of.starts_with('/') || ParseProcess(of).has_value();
  }
  if (text.starts_with(kCgroup)) {
    return text.substr(kCgroup.size()).starts_with('/') &&
           text.find("..") == std::string_view::npos;
  }
  return text.empty() || text.starts_with('/') || IsFileName(text);
}

std::string PinProcess(const std::string& name) {
  if (!name.starts_with(kPid)) return name;
  const auto process = ParseProcess(std::string_view(name).substr(kPid.size()));
  if (!process || process->started) return name;
  return name + "@" + std::to_string(StartOf(process->pid));
}

StatusOr<std::string> NetnsPath(const std::string& name) {
  if (name.empty()) return std::string(kOwnNetns);
  const std::string_view text = name;
  if (text.starts_with(kPid)) return OfProcess(name, text.substr(kPid.size()));
  if (text.starts_with(kCgroup)) return OfCgroup(name, text.substr(kCgroup.size()));
  return text.find('/') == std::string_view::npos ? "/run/netns/" + name : name;
}

}  // namespace faultline::bpf
