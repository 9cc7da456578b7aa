#include "faults/network/tap.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

#include "bpf/netns.h"

namespace faultline::network {
namespace {

constexpr unsigned kOffloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
constexpr int kQueuePackets = 8192;

Status Failed(const char* what) {
  return MakeError(StatusCode::kFailedPrecondition, "{} failed: {}", what, ErrnoText(errno));
}

Status MakeDevice(Tap* tap) {
  tap->fd = bpf::UniqueFd(open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!tap->fd.valid()) return Failed("opening /dev/net/tun");
  ifreq request{};
  request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
  // The kernel puts in a number that is free in this namespace.
  std::strncpy(request.ifr_name, "fl-lane%d", IFNAMSIZ - 1);
  if (ioctl(tap->fd.get(), TUNSETIFF, &request) != 0) return Failed("making a TAP device");
  tap->name = request.ifr_name;
  FL_RETURN_IF_ERROR(SetWholeFrames(tap->fd.get(), true));
  FL_RETURN_IF_ERROR(bpf::BringUpRaw(tap->name, kQueuePackets));
  FL_ASSIGN_OR_RETURN(const bpf::Interface found, bpf::FindInterface(tap->name));
  tap->ifindex = found.index;
  return absl::OkStatus();
}

}  // namespace

Status SetWholeFrames(int fd, bool whole) {
  if (ioctl(fd, TUNSETOFFLOAD, whole ? kOffloads | kUdpTrainOffloads : 0u) != 0 &&
      ioctl(fd, TUNSETOFFLOAD, whole ? kOffloads : 0u) != 0) {
    return Failed("setting a TAP device's offloads");
  }
  return absl::OkStatus();
}

StatusOr<Tap> MakeTap(const std::string& netns, const bpf::NetnsId& netns_id, int program_fd,
                      bpf::AttachMode mode) {
  FL_ASSIGN_OR_RETURN(const bpf::UniqueFd netns_fd, bpf::OpenNetns(netns, netns_id));
  Tap tap;
  FL_RETURN_IF_ERROR(bpf::InNetns(netns_fd, [&] { return MakeDevice(&tap); }));
  bpf::AttachRequest request;
  request.netns = netns;
  request.netns_id = netns_id;
  request.interface = tap.name;
  request.ifindex = tap.ifindex;
  request.program_fd = program_fd;
  request.mode = mode;
  FL_ASSIGN_OR_RETURN(tap.program, bpf::Attach(request));
  return tap;
}

}  // namespace faultline::network
