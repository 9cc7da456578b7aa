// Cgroups of version 2, named as in chaos.v1.Target.cgroup: by their path below the root.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"

namespace faultline::bpf {

struct Cgroup {
  std::string directory;
  uint64_t id = 0;     // another one of the same path has another
  unsigned level = 0;  // below the root
};

// NOT_FOUND when there is none.
StatusOr<Cgroup> FindCgroup(const std::string& path);

// Processes in the cgroup and in those below it, `limit` of them at the most. None when it has gone
// meanwhile.
std::vector<pid_t> ProcessesOf(const Cgroup& cgroup, size_t limit);

}  // namespace faultline::bpf
