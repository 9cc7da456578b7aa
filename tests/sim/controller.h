// One controller process of a simulated cluster: the parts of server/controller.cc without gRPC,
// over the simulated network.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/strand.h"
#include "server/agent_sessions.h"
#include "server/control_plane.h"
#include "server/experiment_service.h"
#include "server/leader_client.h"
#include "server/read_service.h"
#include "server/scheduler.h"
#include "server/version_switch.h"
#include "sim/network.h"
#include "sim/referee.h"

namespace faultline::sim {

class Controller;

// Who is where; a controller that is down is nullptr.
struct Directory {
  struct Place {
    HostId host = kNowhere;
    std::unique_ptr<Controller> controller;
  };
  std::map<uint64_t, Place> nodes;  // by node id
  Controller* Find(uint64_t node) {
    const auto found = nodes.find(node);
    return found == nodes.end() ? nullptr : found->second.controller.get();
  }
};

struct ControllerOptions {
  uint64_t node_id = 0;
  std::vector<raft::Member> members;
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
  raft::View view() const { return node_ == nullptr ? raft::View() : node_->GetView(); }

 private:
  class Machine;
  class Transport;
  class PeerCalls;

  void ObserveExperiments(const server::Change& change);

  const ControllerOptions options_;
  World* const world_;
  Referee* const referee_;
  const HostId host_;
  Strand timers_;
  Strand strand_;
  server::ControlPlane plane_;
  std::unique_ptr<Machine> machine_;
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<server::Peers> peers_;
  std::optional<server::LeaderClient> leader_;
  std::optional<server::Scheduler> scheduler_;
  std::optional<server::VersionSwitch> versions_;
  std::optional<server::AgentSessions> sessions_;
  std::optional<server::ExperimentService> experiments_;
  std::optional<server::ReadService> reads_;
  std::unique_ptr<raft::Node> node_;
};

}  // namespace faultline::sim
