// From a fault's typed parameters and its target to what kernel and lane are told.
#pragma once

#include <google/protobuf/any.pb.h>

#include "base/status.h"
#include "chaos/v1/experiment.pb.h"
#include "faults/driver.h"
#include "faults/network/named_peers.h"
#include "faults/network/plan.h"
#include "faults/network/tables.h"

namespace faultline::network {

// A fault of this group, ready for a target.
struct RulePlan {
  Filter filter;  // all but `hook`
  fl_narrow narrow{};
  bool exposes = false;     // touches protected packets too
  NamedPeers::Names hosts;  // whose addresses belong to the filter as well
  ActionPlan action;

  // Whether of a flow's packets it may take some and leave others.
  bool Picks() const;
};

// FAILED_PRECONDITION with a sentence when the target cannot have this fault: NarrowToFilter,
// NarrowToPartition; connections that fail both ways, of which its ports name only those that come.
// INVALID_ARGUMENT for a message that is not of this group.
StatusOr<RulePlan> PlanRule(const google::protobuf::Any& config, const chaos::v1::Target& target,
                            uint64_t seed);

// What the kernel's programs are told of it; `seed` as for PlanRule.
fl_rule ToKernelRule(const RulePlan& plan, const faults::ArmRequest& request, uint64_t seed);

}  // namespace faultline::network
