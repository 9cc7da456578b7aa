#include "http/process_stats.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "base/clock.h"

namespace faultline::http {
namespace {

// Fields of /proc/self/stat from the third on: the second, the name, may contain anything.
std::vector<std::string> StatFields() {
  std::ifstream file("/proc/self/stat");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return {};
  std::istringstream fields(text.substr(name_end + 1));
  return {std::istream_iterator<std::string>(fields), {}};
}

}  // namespace

ProcessStats ReadProcessStats() {
  // Of the list in proc(5), counted from field 3.
  constexpr size_t kUserTime = 11, kSystemTime = 12, kThreads = 17, kStart = 19, kPages = 21;
  ProcessStats stats;
  const auto fields = StatFields();
  if (fields.size() > kPages) {
    const auto number = [&](size_t field) { return std::stod(fields[field]); };
    const auto ticks_per_second = static_cast<double>(sysconf(_SC_CLK_TCK));
    stats.cpu_seconds = (number(kUserTime) + number(kSystemTime)) / ticks_per_second;
    stats.threads = number(kThreads);
    stats.resident_bytes = number(kPages) * static_cast<double>(sysconf(_SC_PAGESIZE));
    const double age_seconds =
        static_cast<double>(BoottimeNowNs()) / 1e9 - number(kStart) / ticks_per_second;
    stats.start_time_seconds = static_cast<double>(UnixNowNs()) / 1e9 - age_seconds;
  }
  std::error_code error;
  for (std::filesystem::directory_iterator fd("/proc/self/fd", error), end; !error && fd != end;
       fd.increment(error)) {
    ++stats.open_fds;
  }
  return stats;
}

}  // namespace faultline::http
