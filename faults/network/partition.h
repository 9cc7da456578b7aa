// From the groups of a partition to the filter of one target.
#pragma once

#include "base/status.h"
#include "chaos/v1/experiment.pb.h"
#include "faults/network/tables.h"
#include "network/v1/parameters.pb.h"

namespace faultline::network {

// Narrows a target's filter to what goes between its group and the others. The target's group is
// the one that has its addresses: those of its configuration, else those of its interface now.
// FAILED_PRECONDITION with a sentence when none or several have, when the others are nothing but
// what is protected (CheckPeers), and as NarrowToFilter for the partition's own filter.
Status NarrowToPartition(const ::network::v1::NetworkPartition& partition,
                         const chaos::v1::Target& target, Filter* filter);

}  // namespace faultline::network
