// Which packets a fault touches: from its TrafficFilter and its target to a filter of the tables.
#pragma once

#include <string_view>

#include "base/status.h"
#include "chaos/v1/experiment.pb.h"
#include "faults/network/tables.h"
#include "network/v1/parameters.pb.h"

namespace faultline::network {

// The packets that belong to a target: what is measured, both ways. `hook` is left out.
// FAILED_PRECONDITION: an address that is not one. NOT_FOUND: there is no such cgroup.
StatusOr<Filter> TargetFilter(const chaos::v1::Target& target);

// Narrows a target's filter to what the fault asks for; `target` without its ports for a fault that
// these do not narrow. FAILED_PRECONDITION with a sentence when the target cannot have it: ports
// outside the target's, ICMP with a target of certain ports, a cgroup on ingress that this kernel
// cannot tell, a whole host that was not asked for, peers that are protected (CheckPeers).
Status NarrowToFilter(const ::network::v1::TrafficFilter& wanted, const chaos::v1::Target& target,
                      Filter* filter);

// FAILED_PRECONDITION when the filter has peers and each is the default gateway of the target's
// network or the metadata address, so that a fault that leaves protected packets alone would do
// nothing. `parameter` and its `value` are what named them.
Status CheckPeers(const Filter& filter, const chaos::v1::Target& target, std::string_view parameter,
                  std::string_view value);

// The rest of what the fault asks for.
fl_narrow ToNarrow(const ::network::v1::TrafficFilter& wanted);

}  // namespace faultline::network
