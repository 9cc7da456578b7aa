// A pair of veth devices of our own in a network namespace, by words that survive the process that
// made it: what the undo journal holds.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "bpf/netlink.h"
#include "bpf/netns.h"

namespace faultline::bpf {

inline constexpr char kUndoVeth[] = "veth";

struct VethPlace {
  std::string netns;  // as in NetnsPath
  NetnsId netns_id;   // another namespace that has taken the name is not ours
  VethNames names;    // a device of that name with another address is not ours either

  std::vector<std::string> ToArguments() const;
  // INVALID_ARGUMENT when they are not what ToArguments made.
  static StatusOr<VethPlace> FromArguments(const std::vector<std::string>& arguments);
};

// An Ethernet address that nobody else has, by chance.
std::array<uint8_t, 6> RandomAddress();

// Removes both devices. OK when the namespace or the pair is gone, or another's device has the
// name.
Status RemoveVethPair(const VethPlace& place);

// What comes in on the calling namespace's interface is processed by that CPU, whichever it came
// on: so it keeps its order. FAILED_PRECONDITION when the kernel cannot (CONFIG_RPS).
Status ReceiveOnCpu(const std::string& interface, unsigned cpu);

}  // namespace faultline::bpf
