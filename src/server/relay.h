// Other nodes' metrics on this node: while it has subscribers one stream from each of them, with
// the batches of the agents that measure what these want, whichever node an agent is on.
//
// Threads: the strand given owns it; OnDemand may be called from any thread.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <vector>

#include "base/strand.h"
#include "server/control_plane.h"
#include "server/metrics_hub.h"
#include "server/peers.h"

namespace faultline::server {

class RelayManager {
 public:
  // How soon agents are followed that come to be wanted by a change of the state, or are asked for
  // no longer. What they measure meanwhile comes too: it is kept longer than that.
  static constexpr std::chrono::milliseconds kLookAgain{500};

  // `others` are the ids of the other members. All outlive the object's last task on the strand.
  RelayManager(uint64_t node_id, std::vector<uint64_t> others, Strand* strand, Peers* peers,
               const ControlPlane* plane, MetricsHub* hub);

  // Other members from now on. From any thread.
  void SetOthers(std::vector<uint64_t> others);
  // hub->demand() has changed.
  void OnDemand();
  // Ends every stream, for good. Not on the strand.
  void Shutdown();

 private:
  void Reconcile();
  // Whose batches are wanted now, looked up anew when demand or state has changed.
  AgentSet Wanted(const MetricDemand& demand);
  void Open(uint64_t other);
  void LookAgain();

  const uint64_t node_id_;
  std::vector<uint64_t> others_;
  Strand* const strand_;
  Peers* const peers_;
  const ControlPlane* const plane_;
  MetricsHub* const hub_;
  bool ended_ = false;
  bool looks_again_ = false;
  AgentSet agents_;  // as the relays have been told
  // What they were looked up for.
  MetricDemand demand_;
  uint64_t revision_ = 0;
  std::map<uint64_t, std::unique_ptr<Peers::Relay>> relays_;
};

}  // namespace faultline::server
