// Network namespaces: named as in chaos.v1.Target.netns, entered for the length of a scope.
#pragma once

#include <sys/types.h>

#include <compare>
#include <functional>
#include <string>

#include "base/status.h"
#include "bpf/fd.h"

namespace faultline::bpf {

// What makes two paths the same namespace.
struct NetnsId {
  dev_t device = 0;
  ino_t inode = 0;
  auto operator<=>(const NetnsId&) const = default;
};

// File of a namespace: "" is the caller's own, a name without '/' stands below /run/netns, all else
// is a path.
std::string NetnsPath(const std::string& netns);

// NOT_FOUND when there is no such namespace.
StatusOr<UniqueFd> OpenNetns(const std::string& netns);
StatusOr<NetnsId> IdOf(const UniqueFd& netns_fd);

// Runs `work` with the calling thread inside the namespace, and comes back before it returns; its
// status is the result. PERMISSION_DENIED without CAP_SYS_ADMIN. A thread that cannot come back
// would do its later work in a wrong namespace: the process is ended then.
Status InNetns(const UniqueFd& netns_fd, const std::function<Status()>& work);

// An interface of the calling thread's namespace.
struct Interface {
  int index = 0;
  bool ethernet = false;  // its packets begin with an Ethernet header (loopback's do)
  bool loopback = false;
  bool up = false;
};
// NOT_FOUND when there is none of that name.
StatusOr<Interface> FindInterface(const std::string& name);

// Brings the calling namespace's interface up, without ARP and IPv6, with that transmit queue.
Status BringUpRaw(const std::string& name, int tx_queue_packets);

}  // namespace faultline::bpf
