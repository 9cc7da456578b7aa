// One controller process of a simulated cluster: the parts of server/controller.cc without gRPC,
// over the simulated network (peers.h).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/strand.h"
#include "server/agent_sessions.h"
#include "server/cluster.h"
#include "server/control_plane.h"
#include "server/experiment_service.h"
#include "server/leader_client.h"
#include "server/read_service.h"
#include "server/scheduler.h"
#include "server/version_switch.h"
#include "sim/asked_node.h"
#include "sim/peers.h"
#include "sim/referee.h"

namespace faultline::sim {

class Controller;

// Who is where; a controller that is down is nullptr.
struct Directory {
  struct Place {
    HostId host = kNowhere;
    std::unique_ptr<Controller> controller;
    bool told = true;  // clients and agents know it
  };
  std::map<uint64_t, Place> nodes;            // by node id
  std::map<std::string, uint64_t> listeners;  // nodes by peer address; one may have several

  Controller* Find(uint64_t node) const {
    const auto found = nodes.find(node);
    return found == nodes.end() ? nullptr : found->second.controller.get();
  }
  // The node that listens at a peer address; 0: nobody does.
  uint64_t At(const std::string& address) const {
    const auto found = listeners.find(address);
    return found == listeners.end() ? 0 : found->second;
  }
  // The nodes that clients and agents know.
  std::vector<uint64_t> Told() const {
    std::vector<uint64_t> told;
    for (const auto& [node, place] : nodes) {
      if (place.told) told.push_back(node);
    }
    return told;
  }
};

struct ControllerOptions {
  uint64_t node_id = 0;
  std::vector<raft::Member> members;
  bool join = false;     // instead of them: it waits until it is added
  std::string data_dir;  // a Disk's
  std::chrono::milliseconds lease{1'000};
  uint64_t seed = 0;
  uint64_t snapshot_every = 100;
  uint64_t snapshot_trailing = 20;
};

class Controller {
 public:
  // On the host's behalf, as everything here. The network, directory and referee outlive it.
  Controller(ControllerOptions options, World* world, Network* network, Directory* directory,
             Referee* referee);
  // As when the process ends in order; a killed one's last deeds reach nobody.
  ~Controller();

  // Reads its disk. DATA_LOSS when it is damaged.
  Status Start();

  uint64_t node_id() const { return options_.node_id; }
  HostId host() const { return host_; }
  raft::Node* node() { return node_.get(); }
  server::ControlPlane& plane() { return plane_; }
  server::ExperimentService& experiments() { return *experiments_; }
  server::ReadService& reads() { return *reads_; }
  server::AgentSessions& sessions() { return *sessions_; }
  server::Scheduler& scheduler() { return *scheduler_; }
  server::VersionSwitch& versions() { return *versions_; }
  server::Cluster& cluster() { return cluster_; }
  // Of the newest configuration in its log.
  const std::vector<raft::Member>& members() const { return members_; }
  raft::View view() const { return node_ == nullptr ? raft::View() : node_->GetView(); }

 private:
  class Machine;

  void ObserveExperiments(const server::Change& change);
  void OnMembers(const std::vector<raft::Member>& members);

  const ControllerOptions options_;
  Referee* const referee_;
  const HostId host_;
  Strand timers_;
  Strand strand_;
  server::ControlPlane plane_;
  std::unique_ptr<Machine> machine_;
  std::unique_ptr<raft::Transport> transport_;
  std::unique_ptr<server::Peers> peers_;
  std::unique_ptr<server::ClusterPeers> cluster_peers_;
  server::Cluster cluster_;
  std::optional<server::LeaderClient> leader_;
  std::optional<server::Scheduler> scheduler_;
  std::optional<server::VersionSwitch> versions_;
  std::optional<server::AgentSessions> sessions_;
  std::optional<server::ExperimentService> experiments_;
  std::optional<server::ReadService> reads_;
  std::vector<raft::Member> members_;
  std::unique_ptr<raft::Node> node_;
  std::optional<AskedNode> asked_;
};

}  // namespace faultline::sim
