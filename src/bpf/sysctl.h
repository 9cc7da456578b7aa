// A kernel setting of a network namespace that we changed for a while, by words that survive the
// process that changed it: what the undo journal holds.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "bpf/netns.h"

namespace faultline::bpf {

inline constexpr char kUndoSysctl[] = "sysctl";

struct SysctlChange {
  std::string netns;  // as in bpf/netns_name.h
  NetnsId netns_id;   // another namespace that has taken the name is not ours
  std::string key;    // a path below /proc/sys/net: "ipv4/conf/lo/accept_local"
  std::string old_value;
  std::string our_value;

  std::vector<std::string> ToArguments() const;
  // INVALID_ARGUMENT when they are not what ToArguments made.
  static StatusOr<SysctlChange> FromArguments(const std::vector<std::string>& arguments);
};

// The change that would give the setting `our_value`, not made yet: old_value is what it has now.
// NOT_FOUND when there is no such namespace or setting.
StatusOr<SysctlChange> PlanSysctl(const std::string& netns, const std::string& key,
                                  const std::string& our_value);

// FAILED_PRECONDITION with the setting's name when it cannot be written (a read-only /proc/sys).
Status ApplySysctl(const SysctlChange& change);

// Gives the setting its old value if it still has ours: what somebody else has set since stays. OK
// when the namespace or the setting is gone.
Status RestoreSysctl(const SysctlChange& change);

}  // namespace faultline::bpf
