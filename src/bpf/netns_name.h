// How a network namespace is named (chaos.v1.Target.netns), and which one that is at the moment:
//
//   ""               the agent's own
//   NAME             the file NAME below /run/netns
//   /PATH            any other file of a namespace, such as /run/docker/netns/6f2c9a
//   pid:NUMBER       that of the process
//   pid:/FILE        that of the process whose number is in the file
//   cgroup:/PATH     that of the processes in the cgroup (v2) and in those below it
//
// The same name is another namespace when the service has been started anew.
#pragma once

#include <string>

#include "base/status.h"

namespace faultline::bpf {

// Whether it is one of these, by its look alone.
bool IsNetnsName(const std::string& name);
inline constexpr char kNetnsNames[] =
    "a name under /run/netns, a path, pid:NUMBER, pid:/FILE or cgroup:/PATH";

// "pid:NUMBER" together with when that process was started ("pid:NUMBER@TICKS"), so that it names
// no later process of that number; any other name as it is. A process that is not there has started
// at 0, as no process has.
std::string PinProcess(const std::string& name);

// The file of the namespace. NOT_FOUND when there is no such process or cgroup, or no process in
// the cgroup. UNAVAILABLE when the processes are in several namespaces or in the agent's own, as
// those of a container that is just being started are for a moment. Whether a file that was named
// is there is not looked at.
StatusOr<std::string> NetnsPath(const std::string& name);

}  // namespace faultline::bpf
