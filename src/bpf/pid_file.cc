#include "bpf/pid_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <fstream>
#include <iterator>
#include <string_view>

#include "base/clock.h"
#include "bpf/fd.h"

namespace faultline::bpf {
namespace {

// Between two clocks, of which one counts in seconds.
constexpr time_t kClockSlackSeconds = 2;

bool SameTime(const timespec& a, const timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

}  // namespace

uint64_t StartOf(uint64_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  // The second field is the program's name in brackets; when it was started is the 22nd.
  size_t at = text.rfind(')');
  for (int field = 2; field < 22 && at != std::string::npos; ++field) at = text.find(' ', at + 1);
  if (at == std::string::npos) return 0;
  uint64_t ticks = 0;
  const size_t end = std::min(text.find(' ', at + 1), text.size());
  const auto [parsed, error] = std::from_chars(text.data() + at + 1, text.data() + end, ticks);
  return error == std::errc() && parsed == text.data() + end ? ticks : 0;
}

std::optional<PidFile> ReadPidFile(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  struct stat facts{};
  if (!fd.valid() || fstat(fd.get(), &facts) != 0 || !S_ISREG(facts.st_mode)) return std::nullopt;
  char bytes[32];
  const ssize_t got = read(fd.get(), bytes, sizeof(bytes));
  std::string text(bytes, static_cast<size_t>(std::max<ssize_t>(got, 0)));
  text.resize(std::min(text.size(), text.find('\n')));
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) {
    text.pop_back();
  }
  if (text.empty() || text.size() == sizeof(bytes)) return std::nullopt;
  return PidFile{std::move(text), facts.st_mtim};
}

bool PidFiles::Means(const std::string& path, const timespec& written, uint64_t pid,
                     time_t unix_now) {
  const uint64_t started = StartOf(pid);
  const std::lock_guard lock(mutex_);
  const auto known = meant_.find(path);
  if (known != meant_.end() && known->second.pid == pid &&
      SameTime(known->second.written, written)) {
    return known->second.started == started;
  }
  const auto up = static_cast<time_t>(BoottimeNowNs() / kNanosPerSecond);
  const auto since_boot = static_cast<time_t>(started) / sysconf(_SC_CLK_TCK);
  if (unix_now - up + since_boot > written.tv_sec + kClockSlackSeconds) return false;
  meant_[path] = {written, pid, started};
  return true;
}

}  // namespace faultline::bpf
