// Other nodes' metrics on this node: one stream from each of them while this node has subscribers.
//
// Threads: the strand given owns it; OnDemand may be called from any thread.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "base/strand.h"
#include "server/metrics_hub.h"
#include "server/peers.h"

namespace faultline::server {

class RelayManager {
 public:
  // `others` are the ids of the other members. All outlive the object's last task on the strand.
  RelayManager(uint64_t node_id, std::vector<uint64_t> others, Strand* strand, Peers* peers,
               MetricsHub* hub);

  // Other members from now on. From any thread.
  void SetOthers(std::vector<uint64_t> others);
  // hub->wanted() may have changed.
  void OnDemand();
  // Ends every stream, for good. Not on the strand.
  void Shutdown();

 private:
  void Reconcile();
  void Open(uint64_t other);

  const uint64_t node_id_;
  std::vector<uint64_t> others_;
  Strand* const strand_;
  Peers* const peers_;
  MetricsHub* const hub_;
  bool ended_ = false;
  std::map<uint64_t, std::unique_ptr<Peers::Relay>> relays_;
};

}  // namespace faultline::server
