// One agent process of a simulated cluster: the agent's own lease keeper and reconciler, and a
// kernel that obeys a fault exactly while the lease page and its deadline say so.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/lease_keeper.h"
#include "agent/reconciler.h"
#include "sim/controller.h"

namespace faultline::sim {

struct AgentOptions {
  std::string id;
  uint64_t incarnation = 1;
  std::vector<std::string> target_names;
};

class Agent {
 public:
  // On the host's behalf. Begins to connect.
  Agent(AgentOptions options, World* world, Network* network, Directory* directory,
        Referee* referee);
  ~Agent();

  // Experiments whose faults the host's kernel obeys at this moment.
  std::vector<std::string> Active() const;
  const std::string& id() const { return options_.id; }

 private:
  class Kernel;
  class Stream;

  void Beat();
  void Connect();
  void MoveOn();
  void OnEnd();
  void Take(const chaos::v1::ConnectResponse& response);
  void SendRenewal();
  void SendReports();
  void Say(chaos::v1::ConnectRequest request);
  void TellReferee() const;
  chaos::v1::Agent Describe() const;

  const AgentOptions options_;
  World* const world_;
  Network* const network_;
  Directory* const directory_;
  Referee* const referee_;
  const HostId host_;
  agent::LeaseKeeper lease_;
  uint64_t page_until_ns_ = 0;  // what the lease page says to the kernel
  std::unique_ptr<Kernel> kernel_;
  std::unique_ptr<agent::Reconciler> reconciler_;
  std::shared_ptr<Connection> connection_;
  uint64_t stream_id_ = 0;
  uint64_t node_ = 0;  // connected to, or last tried
  bool welcomed_ = false;
  int failures_ = 0;  // attempts since the last welcome
  uint64_t compared_ns_ = 0;
};

}  // namespace faultline::sim
