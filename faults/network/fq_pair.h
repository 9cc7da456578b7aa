// The fq lane's devices: a veth pair in the targets' network namespace. What our programs send to
// the first waits in its fq qdisc until the time that the packet carries, and comes out of the
// second.
#pragma once

#include <memory>
#include <string>

#include "base/status.h"
#include "bpf/attach.h"
#include "bpf/fd.h"
#include "bpf/veth.h"
#include "faults/driver.h"
#include "faults/network/kernel.h"

namespace faultline::network {

// The strand.
class FqPair {
 public:
  // Packets that fq takes. Memory is the limit that is met first, but for the smallest packets.
  static constexpr uint32_t kMaxPackets = 200'000;

  // Makes a pair named "fl-fq<n>" and "fl-fq<n>r" in the namespace, up, without ARP and IPv6, with
  // the program on its way out, after an undo record (`undo` may be null, else it outlives the
  // object). FAILED_PRECONDITION when the kernel has no veth devices, no fq or no RPS.
  static StatusOr<std::unique_ptr<FqPair>> Make(const std::string& netns,
                                                const bpf::NetnsId& netns_id, int program_fd,
                                                bpf::AttachMode mode, faults::UndoLog* undo);
  // Removes the pair; what it holds is lost.
  ~FqPair();
  FqPair(const FqPair&) = delete;
  FqPair& operator=(const FqPair&) = delete;

  const std::string& name() const { return place_.names.first; }
  int ifindex() const { return ifindex_; }
  // False when somebody has removed or shut one of its devices, or taken the program off.
  bool Stands() const;

 private:
  explicit FqPair(faults::UndoLog* undo) : undo_(undo) {}
  Status MakeDevices();
  Status SetUp();

  faults::UndoLog* const undo_;
  bpf::UniqueFd netns_fd_;  // its name may be taken away while it is in use
  bpf::VethPlace place_;
  uint64_t undo_record_ = 0;
  int ifindex_ = 0;
  int return_ifindex_ = 0;
  std::unique_ptr<bpf::Attachment> out_;
};

}  // namespace faultline::network
