// What a simulated node sends to others, each by its address: Raft's messages and snapshots, the
// control plane's calls, and those about membership.
#pragma once

#include <memory>

#include "raft/node.h"
#include "server/cluster_peers.h"
#include "server/peers.h"
#include "sim/network.h"

namespace faultline::sim {

struct Directory;

// Where a node is; what is here outlives all that is made of it.
struct Wire {
  uint64_t own_id = 0;
  HostId host = kNowhere;
  World* world = nullptr;
  Network* network = nullptr;
  Directory* directory = nullptr;
};

std::unique_ptr<raft::Transport> MakeTransport(const Wire& wire);
// Knows the nodes that SetMembers named last.
std::unique_ptr<server::Peers> MakePeers(const Wire& wire);
std::unique_ptr<server::ClusterPeers> MakeClusterPeers(const Wire& wire);

}  // namespace faultline::sim
