// The lane's device: a TAP in the targets' network namespace, whose other end is our descriptor.
#pragma once

#include <memory>
#include <string>

#include "base/status.h"
#include "bpf/attach.h"
#include "bpf/fd.h"

namespace faultline::network {

// TUN_F_USO4 and TUN_F_USO6, which came with kernel 6.2: Debian 12's headers do not have them.
inline constexpr unsigned kUdpTrainOffloads = 0x20 | 0x40;

struct Tap {
  // In this order: closing the descriptor removes the device, and with it the attachment.
  std::unique_ptr<bpf::Attachment> program;
  bpf::UniqueFd fd;  // non-blocking; frames with a virtio_net_hdr
  std::string name;
  int ifindex = 0;
};

// Makes a TAP named "fl-lane<n>" in the namespace, with all offloads (whole GSO packets pass), up,
// without ARP and IPv6, and `program_fd` on its ingress. Gone when closed.
// UNAVAILABLE when the name means another namespace than that one.
StatusOr<Tap> MakeTap(const std::string& netns, const bpf::NetnsId& netns_id, int program_fd,
                      bpf::AttachMode mode);

// Whether frames of the device come as the host's stack made them (trains of segments, checksums to
// be completed), or each packet by itself and complete. FAILED_PRECONDITION when the device has
// gone.
Status SetWholeFrames(int fd, bool whole);

}  // namespace faultline::network
