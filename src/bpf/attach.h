// A TC program on an interface: by TCX where the kernel has it, and then before all that are there
// already; else as a clsact filter of the first priority that is free.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "bpf/netns.h"

namespace faultline::bpf {

enum class AttachMode { kTcx, kClsact };

struct AttachRequest {
  std::string netns;  // as in bpf/netns_name.h
  NetnsId netns_id;   // which one that has to be
  std::string interface;
  int ifindex = 0;
  bool egress = false;
  int program_fd = -1;
  AttachMode mode = AttachMode::kTcx;
  // Called before a clsact filter or qdisc is made, with an undo kind (kUndoTcFilter,
  // kUndoClsact) and its arguments: they outlive the process. Result: a handle for `finish_undo`,
  // which is told how undoing it went. Null when the interface itself goes with the process.
  std::function<StatusOr<uint64_t>(const std::string&, const std::vector<std::string>&)>
      record_undo;
  std::function<void(uint64_t, const Status&)> finish_undo;
};

inline constexpr char kUndoTcFilter[] = "tc_filter";
inline constexpr char kUndoClsact[] = "clsact";

// An attached program; detached when destroyed (and by the kernel when the process ends, with TCX).
class Attachment {
 public:
  virtual ~Attachment() = default;
  // False when the interface has gone, or somebody has taken the program off.
  virtual bool Alive() const = 0;
  // Somebody else's filter that the kernel asks first, in words ("bpf filter cil_from:[12] of
  // priority 1 on ingress"): the program does not see packets for which it ends the chain. Empty
  // when there is none, or that cannot be asked. Of clsact only.
  virtual std::string Ahead() const { return {}; }
};

// A TCX link is a descriptor above kLinkFds: the kernel closes a killed process's last descriptors
// first, so programs are off before the devices they send packets to are gone.
inline constexpr int kLinkFds = 2048;
// UNAVAILABLE when the name means another namespace by now.
StatusOr<std::unique_ptr<Attachment>> Attach(const AttachRequest& request);

// Lets this process have as many descriptors as its hard limit says: each attachment may need one
// above kLinkFds.
void RaiseFileLimit();

}  // namespace faultline::bpf
