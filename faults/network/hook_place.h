// Where a target's interface is, or the host's end of its link: by names, and as these mean now.
#pragma once

#include <compare>
#include <string>

#include "base/status.h"
#include "bpf/netns.h"

namespace faultline::network {

// As in chaos.v1.Target.
struct TargetPlace {
  std::string netns;
  std::string interface;
  bool at_host_end = false;
  auto operator<=>(const TargetPlace&) const = default;
};

// The interface that programs are put on.
struct HookPlace {
  std::string netns;
  bpf::NetnsId netns_id;
  std::string name;
  bpf::Interface interface;

  bool IsSameAs(const HookPlace& other) const {
    return netns_id == other.netns_id && interface.index == other.interface.index;
  }
};

// NOT_FOUND: no such namespace or interface. FAILED_PRECONDITION: it is to be at the host's end,
// and the interface has none in the agent's own network namespace, or is none.
StatusOr<HookPlace> FindPlace(const TargetPlace& target);

// "netns 'shop'", "the agent's own network namespace".
std::string NetnsText(const std::string& netns);

}  // namespace faultline::network
