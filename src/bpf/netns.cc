#include "bpf/netns.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "base/log.h"
#include "bpf/netns_name.h"

namespace faultline::bpf {
namespace {

constexpr char kOwnNetns[] = "/proc/thread-self/ns/net";
constexpr size_t kMaxNames = 16;

ifreq RequestFor(const std::string& name) {
  ifreq request{};
  std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
  return request;
}

Status Control(const UniqueFd& socket_fd, unsigned long what, ifreq* request) {
  if (ioctl(socket_fd.get(), what, request) == 0) return absl::OkStatus();
  return MakeError(StatusCode::kInternal, "setting up interface {} failed: {}", request->ifr_name,
                   ErrnoText(errno));
}

}  // namespace

StatusOr<UniqueFd> OpenNetns(const std::string& netns) {
  FL_ASSIGN_OR_RETURN(const std::string path, NetnsPath(netns));
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) {
    return MakeError(errno == ENOENT ? StatusCode::kNotFound : StatusCode::kFailedPrecondition,
                     "netns '{}': {} cannot be opened: {}", netns, path, ErrnoText(errno));
  }
  // `ip netns add` makes an empty file first.
  struct statfs facts{};
  if (fstatfs(fd.get(), &facts) == 0 && facts.f_type == NSFS_MAGIC) return fd;
  return MakeError(StatusCode::kNotFound, "netns '{}': {} is no network namespace", netns, path);
}

StatusOr<UniqueFd> OpenNetns(const std::string& netns, const NetnsId& id) {
  FL_ASSIGN_OR_RETURN(UniqueFd fd, OpenNetns(netns));
  FL_ASSIGN_OR_RETURN(const NetnsId found, IdOf(fd));
  if (found == id) return fd;
  return MakeError(StatusCode::kUnavailable, "netns '{}' is another one now", netns);
}

StatusOr<UniqueFd> FindNetns(const std::string& netns, const NetnsId& id) {
  auto named = OpenNetns(netns, id);
  const auto code = named.status().code();
  if (code != StatusCode::kNotFound && code != StatusCode::kUnavailable) return named;
  std::error_code error;
  for (const char* folder : {"/proc", "/run/netns"}) {
    for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
      const std::string path = entry.path().string();
      const std::string file = folder == std::string_view("/proc") ? path + "/ns/net" : path;
      struct stat facts{};
      if (stat(file.c_str(), &facts) != 0) continue;
      if (NetnsId{facts.st_dev, facts.st_ino} != id) continue;
      auto found = OpenNetns(file, id);
      // Gone or another by now; what cannot be opened is there all the same.
      const auto why = found.status().code();
      if (why != StatusCode::kNotFound && why != StatusCode::kUnavailable) return found;
    }
    if (error && error != std::errc::no_such_file_or_directory) {
      return MakeError(StatusCode::kInternal,
                       "{} cannot be read, for the network namespace that "
                       "'{}' meant: {}",
                       folder, netns, error.message());
    }
  }
  return MakeError(StatusCode::kNotFound, "the network namespace that '{}' meant has gone", netns);
}

bool IsOwnNetns(const std::string& netns) {
  const auto named = OpenNetns(netns), own = OpenNetns("");
  if (!named.ok() || !own.ok()) return false;
  const auto named_id = IdOf(*named), own_id = IdOf(*own);
  return named_id.ok() && own_id.ok() && *named_id == *own_id;
}

StatusOr<NetnsId> IdOf(const UniqueFd& netns_fd) {
  struct stat facts{};
  if (fstat(netns_fd.get(), &facts) != 0) {
    return MakeError(StatusCode::kInternal, "reading a network namespace's identity failed: {}",
                     ErrnoText(errno));
  }
  return NetnsId{facts.st_dev, facts.st_ino};
}

Status InNetns(const UniqueFd& netns_fd, const std::function<Status()>& work) {
  const UniqueFd own(open(kOwnNetns, O_RDONLY | O_CLOEXEC));
  if (!own.valid() || setns(netns_fd.get(), CLONE_NEWNET) != 0) {
    return MakeError(errno == EPERM ? StatusCode::kPermissionDenied : StatusCode::kInternal,
                     "entering a network namespace failed: {}", ErrnoText(errno));
  }
  Status status = work();
  if (setns(own.get(), CLONE_NEWNET) != 0) {
    FL_LOG(error, "cannot leave a network namespace: {}", ErrnoText(errno));
    std::abort();
  }
  return status;
}

StatusOr<Interface> FindInterface(const std::string& name) {
  const UniqueFd socket_fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request = RequestFor(name);
  if (ioctl(socket_fd.get(), SIOCGIFINDEX, &request) != 0) {
    if (errno == ENODEV) {
      return MakeError(StatusCode::kNotFound, "there is no network interface '{}'", name);
    }
    return MakeError(StatusCode::kInternal, "network interface '{}' cannot be looked up: {}", name,
                     ErrnoText(errno));
  }
  Interface found;
  found.index = request.ifr_ifindex;
  if (ioctl(socket_fd.get(), SIOCGIFHWADDR, &request) == 0) {
    const auto type = request.ifr_hwaddr.sa_family;
    found.loopback = type == ARPHRD_LOOPBACK;
    found.ethernet = type == ARPHRD_ETHER || found.loopback;
  }
  if (ioctl(socket_fd.get(), SIOCGIFFLAGS, &request) == 0) {
    found.up = (request.ifr_flags & IFF_UP) != 0;
  }
  return found;
}

StatusOr<bool> IsUpAs(const std::string& name, int index) {
  const auto found = FindInterface(name);
  if (found.status().code() == StatusCode::kNotFound) return false;
  FL_RETURN_IF_ERROR(found.status());
  return found->index == index && found->up;
}

std::vector<std::string> InterfaceNames() {
  std::vector<std::string> names;
  struct if_nameindex* const all = if_nameindex();
  for (auto* entry = all; entry != nullptr && entry->if_index != 0; ++entry) {
    if (names.size() < kMaxNames) names.emplace_back(entry->if_name);
  }
  if (all != nullptr) if_freenameindex(all);
  return names;
}

Status BringUpRaw(const std::string& name, int tx_queue_packets) {
  const UniqueFd socket_fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  // Without IPv6 in the kernel the file is not there, and nothing needs to be switched off.
  const std::string ipv6 = "/proc/sys/net/ipv6/conf/" + name + "/disable_ipv6";
  const UniqueFd switch_fd(open(ipv6.c_str(), O_WRONLY | O_CLOEXEC));
  if (switch_fd.valid() && write(switch_fd.get(), "1", 1) != 1) {
    return MakeError(StatusCode::kInternal, "switching IPv6 off on {} failed: {}", name,
                     ErrnoText(errno));
  }
  ifreq request = RequestFor(name);
  request.ifr_qlen = tx_queue_packets;
  FL_RETURN_IF_ERROR(Control(socket_fd, SIOCSIFTXQLEN, &request));
  request = RequestFor(name);
  FL_RETURN_IF_ERROR(Control(socket_fd, SIOCGIFFLAGS, &request));
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP | IFF_NOARP);
  return Control(socket_fd, SIOCSIFFLAGS, &request);
}

}  // namespace faultline::bpf
