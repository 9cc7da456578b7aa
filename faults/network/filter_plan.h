// Which packets a fault touches: from its TrafficFilter and its target to a filter of the tables.
#pragma once

#include "base/status.h"
#include "chaos/v1/experiment.pb.h"
#include "faults/network/tables.h"
#include "network/v1/parameters.pb.h"

namespace faultline::network {

// The packets that belong to a target: what is measured, both ways. `hook` is left out.
// FAILED_PRECONDITION: an address that is not one. NOT_FOUND: there is no such cgroup.
StatusOr<Filter> TargetFilter(const chaos::v1::Target& target);

// Narrows a target's filter to what the fault asks for. FAILED_PRECONDITION with a sentence when
// the target cannot have it: ports outside the target's, a cgroup on ingress that this kernel
// cannot tell, a whole host that was not asked for.
Status NarrowToFilter(const ::network::v1::TrafficFilter& wanted, const chaos::v1::Target& target,
                      Filter* filter);

// The rest of what the fault asks for.
fl_narrow ToNarrow(const ::network::v1::TrafficFilter& wanted);

}  // namespace faultline::network
