// How a node with an empty data directory finds the cluster that it is to belong to.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "server/cluster_peers.h"

namespace faultline::server {

// Asks the nodes at these peer addresses in turn until one tells of its cluster. Blocks, for
// `patience` at most. UNAVAILABLE, with what each address said, when none answers.
StatusOr<v1::DescribeResponse> FindCluster(ClusterPeers* peers,
                                           const std::vector<std::string>& addresses,
                                           uint64_t node_id, std::chrono::milliseconds patience);

}  // namespace faultline::server
