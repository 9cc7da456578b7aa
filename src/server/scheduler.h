// The leader's part that turns time into commands: ends what is over, says which agents are gone,
// and for how long they must be gone before every lease they can hold has run out. Runs on every
// node, and does nothing where the node does not lead.
//
// Threads: one strand owns it; ReportSessions may be called from any thread.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/strand.h"
#include "server/control_plane.h"
#include "server/v1/peer.pb.h"

namespace faultline::server {

namespace v1 = ::server::v1;

class Scheduler {
 public:
  // The strand and the plane outlive the object; begins at once.
  Scheduler(Strand* strand, ControlPlane* plane, std::chrono::milliseconds lease);

  // A node (this one too) serves these agents. The answer is the node's authority to grant leases
  // to them, and a promise: none of them is declared lost for two leases from now, of the longest
  // that it may hold a fault by (control::LongestLeaseMs). UNAVAILABLE with reason NOT_LEADER
  // elsewhere, or while one of them is just being declared lost.
  void ReportSessions(const v1::ReportSessionsRequest& request,
                      Done<v1::ReportSessionsResponse> done);

  // Leader: the agents that nodes have reported, with how long ago each was heard of. Empty
  // elsewhere.
  void Served(std::function<void(std::vector<v1::AgentSession>)> done);

 private:
  using AgentKey = std::pair<std::string, uint64_t>;  // id, incarnation

  void Tick();
  void Lead(uint64_t now_ns, int64_t now_ms);
  void CheckAgents(uint64_t now_ns);
  // Logs once a term that this machine's Unix clock is not the one that experiments are on.
  void TellClock(int64_t now_ms);
  void Propose(const std::string& what, control::v1::Command command);
  // For how long no node has told of that start of an agent; of any start of it.
  uint64_t SilentNs(const AgentKey& agent, uint64_t now_ns) const;
  uint64_t AllSilentNs(const std::string& agent_id, uint64_t now_ns) const;

  Strand* const strand_;
  ControlPlane* const plane_;
  const uint64_t lease_ns_;
  uint64_t leading_term_ = 0;      // 0: not leading
  uint64_t leading_since_ns_ = 0;  // CLOCK_BOOTTIME, as all times here: leases go on in suspend
  uint64_t ready_term_ = 0;        // term whose beginning this node has applied
  bool preparing_ = false;         // finding that out
  uint64_t clock_told_term_ = 0;   // term in which the clock was told of
  std::map<AgentKey, uint64_t> reported_ns_;
  std::map<AgentKey, uint64_t> heard_ns_;  // of reported_ns_'s: when its node last heard of it
  std::set<std::string> proposed_;         // what is under way, by name
};

}  // namespace faultline::server
