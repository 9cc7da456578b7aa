#include "bpf/cgroup.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace faultline::bpf {
namespace {

namespace fs = std::filesystem;

// Where cgroup v2 is mounted: beside v1, or alone.
constexpr const char* kRoots[] = {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"};

void AddProcesses(const fs::path& directory, size_t limit, std::vector<pid_t>* pids) {
  std::ifstream file(directory / "cgroup.procs");
  // Those of another PID namespace read as 0.
  for (pid_t pid = 0; pids->size() < limit && file >> pid;) {
    if (pid > 0) pids->push_back(pid);
  }
}

}  // namespace

StatusOr<Cgroup> FindCgroup(const std::string& path) {
  const fs::path inside = fs::path("/" + path).lexically_normal().relative_path();
  for (const char* root : kRoots) {
    struct stat facts{};
    const fs::path whole = fs::path(root) / inside;
    if (!fs::exists(fs::path(root) / "cgroup.controllers") || stat(whole.c_str(), &facts) != 0) {
      continue;
    }
    const auto level = static_cast<unsigned>(
        std::count_if(inside.begin(), inside.end(), [](const fs::path& p) { return !p.empty(); }));
    return Cgroup{whole, facts.st_ino, level};
  }
  return MakeError(StatusCode::kNotFound,
                   "cgroup '{}': there is none (v2) of that path below the root", path);
}

std::vector<pid_t> ProcessesOf(const Cgroup& cgroup, size_t limit) {
  std::vector<pid_t> pids;
  AddProcesses(cgroup.directory, limit, &pids);
  std::error_code gone;
  fs::recursive_directory_iterator below(cgroup.directory, gone);
  while (!gone && pids.size() < limit && below != fs::recursive_directory_iterator()) {
    if (below->is_directory(gone)) AddProcesses(below->path(), limit, &pids);
    below.increment(gone);
  }
  return pids;
}

}  // namespace faultline::bpf
