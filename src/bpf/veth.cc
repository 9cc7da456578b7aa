#include "bpf/veth.h"

#include <fcntl.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "bpf/undo_words.h"

namespace faultline::bpf {
namespace {

constexpr unsigned kWordBits = 32;  // of a CPU mask's words
// <linux/mount.h> does not go together with <sys/mount.h> everywhere.
constexpr unsigned kCreate = 6;       // FSCONFIG_CMD_CREATE
constexpr unsigned kCloseOnExec = 1;  // FSMOUNT_CLOEXEC

std::string AddressText(const std::array<uint8_t, 6>& address) {
  return fmt::format("{:02x}", fmt::join(address, ""));
}

// The calling thread's view of /sys, which shows the interfaces of its namespace; the process's own
// shows those of the namespace in which it was mounted.
UniqueFd OpenSysfs() {
  const UniqueFd context(static_cast<int>(syscall(SYS_fsopen, "sysfs", 0)));
  if (syscall(SYS_fsconfig, context.get(), kCreate, nullptr, nullptr, 0) != 0) return {};
  return UniqueFd(static_cast<int>(syscall(SYS_fsmount, context.get(), kCloseOnExec, 0)));
}

// In the form of the kernel: words of hexadecimal digits, the highest first, with commas.
std::string CpuMask(unsigned cpu) {
  std::string mask = fmt::format("{:08x}", 1u << (cpu % kWordBits));
  for (unsigned word = cpu / kWordBits; word > 0; --word) mask += ",00000000";
  return mask;
}

// Whether the first of the pair has our address, in the calling thread's namespace.
StatusOr<bool> IsOurs(const VethPlace& place) {
  const UniqueFd socket_fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strncpy(request.ifr_name, place.names.first.c_str(), IFNAMSIZ - 1);
  if (ioctl(socket_fd.get(), SIOCGIFHWADDR, &request) == 0) {
    return std::equal(place.names.address.begin(), place.names.address.end(),
                      reinterpret_cast<const uint8_t*>(request.ifr_hwaddr.sa_data));
  }
  if (errno == ENODEV) return false;
  return MakeError(StatusCode::kInternal, "the address of interface {} cannot be read: {}",
                   place.names.first, ErrnoText(errno));
}

}  // namespace

std::vector<std::string> VethPlace::ToArguments() const {
  return {
      netns,        std::to_string(netns_id.device), std::to_string(netns_id.inode), names.first,
      names.second, AddressText(names.address)};
}

StatusOr<VethPlace> VethPlace::FromArguments(const std::vector<std::string>& arguments) {
  VethPlace place;
  bool whole = arguments.size() == 6 && ParseWord(arguments[1], &place.netns_id.device) &&
               ParseWord(arguments[2], &place.netns_id.inode) && !arguments[3].empty() &&
               arguments[5].size() == 2 * place.names.address.size();
  for (size_t i = 0; whole && i < place.names.address.size(); ++i) {
    whole = ParseWord(arguments[5].substr(2 * i, 2), &place.names.address[i], 16);
  }
  if (!whole) return DamagedWords();
  place.netns = arguments[0];
  place.names.first = arguments[3];
  place.names.second = arguments[4];
  return place;
}

std::array<uint8_t, 6> RandomAddress() {
  constexpr uint8_t kGroup = 1, kLocal = 2;
  std::array<uint8_t, 6> address{};
  if (getrandom(address.data(), address.size(), 0) < 0) return {};
  address[0] = static_cast<uint8_t>((address[0] & ~kGroup) | kLocal);
  return address;
}

Status RemoveVethPair(const VethPlace& place) {
  return InNetnsIfThere(place.netns, place.netns_id, [&]() -> Status {
    const auto found = FindInterface(place.names.first);
    if (found.status().code() == StatusCode::kNotFound) return absl::OkStatus();
    FL_RETURN_IF_ERROR(found.status());
    FL_ASSIGN_OR_RETURN(const bool ours, IsOurs(place));
    return ours ? DeleteLink(found->index) : absl::OkStatus();
  });
}

Status ReceiveOnCpu(const std::string& interface, unsigned cpu) {
  const UniqueFd sysfs = OpenSysfs();
  const std::string path = "class/net/" + interface + "/queues/rx-0/rps_cpus";
  const UniqueFd file(openat(sysfs.get(), path.c_str(), O_WRONLY | O_CLOEXEC));
  const std::string mask = CpuMask(cpu);
  if (!file.valid() || write(file.get(), mask.data(), mask.size()) < 0) {
    return MakeError(StatusCode::kFailedPrecondition,
                     "the CPU that receives for {} cannot be set (CONFIG_RPS): {}", interface,
                     ErrnoText(errno));
  }
  return absl::OkStatus();
}

}  // namespace faultline::bpf
