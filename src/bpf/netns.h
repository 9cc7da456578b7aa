// Network namespaces: named as in chaos.v1.Target.netns, entered for the length of a scope.
#pragma once

#include <sys/types.h>

#include <compare>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "bpf/fd.h"

namespace faultline::bpf {

// What makes two paths the same namespace.
struct NetnsId {
  dev_t device = 0;
  ino_t inode = 0;
  auto operator<=>(const NetnsId&) const = default;
};

// The namespace that is named so (bpf/netns_name.h) at the moment. NOT_FOUND when there is none.
// The descriptor keeps the namespace, with its interfaces, from going: not to be held for long.
StatusOr<UniqueFd> OpenNetns(const std::string& netns);
StatusOr<NetnsId> IdOf(const UniqueFd& netns_fd);
// The same, if it is that one; else UNAVAILABLE.
StatusOr<UniqueFd> OpenNetns(const std::string& netns, const NetnsId& id);
// That one, whatever the name means by now: where it was, or where a process or /run/netns leads to
// it. NOT_FOUND when nothing does.
StatusOr<UniqueFd> FindNetns(const std::string& netns, const NetnsId& id);
// Whether the name means the caller's own now.
bool IsOwnNetns(const std::string& netns);

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
// Whether the interface of that name has that number, and is up. INTERNAL when the kernel does not
// say.
StatusOr<bool> IsUpAs(const std::string& name, int index);
// The names of all, the first sixteen of them.
std::vector<std::string> InterfaceNames();

// Brings the calling namespace's interface up, without ARP and IPv6, with that transmit queue.
Status BringUpRaw(const std::string& name, int tx_queue_packets);

}  // namespace faultline::bpf
