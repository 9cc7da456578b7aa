// The agents whose streams end at this node: what each is told, and what its words become.
//
// Level-triggered: whenever the applied state, an agent's reports or this node's authority change,
// a session is compared with the state, and what differs is sent (desired state, lease grants) or
// proposed (registration, reports).
//
// Threads: one strand owns it; the methods marked so may be called from any thread.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/baseline.h"
#include "chaos/v1/agent.pb.h"
#include "server/authority.h"
#include "server/leader_client.h"

namespace faultline::server {

// One agent's stream, as the sessions see it. Any thread.
class AgentStream {
 public:
  virtual ~AgentStream() = default;
  // Never blocks: of each kind of message only the newest waits to be sent.
  virtual void Send(chaos::v1::ConnectResponse response) = 0;
  // True while a desired state still waits to be sent, so that a newer one would only replace it;
  // AgentSessions::OnDrained then follows once it no longer does.
  virtual bool Behind() = 0;
  // Ends the stream; OnClosed is still to come.
  virtual void Close(const Status& status) = 0;
};

class AgentSessions {
 public:
  struct Options {
    uint64_t node_id = 0;
    std::chrono::milliseconds lease{10'000};
    // What agents are told to keep.
    std::chrono::milliseconds baseline = Baseline::kDefaultKept;
  };

  // All outlive the object's last call on the strand.
  AgentSessions(Options options, Strand* strand, ControlPlane* plane, LeaderClient* leader,
                Peers* peers, Scheduler* scheduler);
  ~AgentSessions();

  // Begins to report to the leader.
  void Start();

  // From any thread; `id` is the stream's own number, never used again.
  static uint64_t NextId();
  void OnHello(uint64_t id, std::shared_ptr<AgentStream> stream, chaos::v1::AgentHello hello);
  void OnRenewal(uint64_t id, const chaos::v1::LeaseRenewal& renewal);
  void OnReports(uint64_t id, chaos::v1::FaultReports reports);
  void OnDrained(uint64_t id);
  void OnClosed(uint64_t id);

  // What ControlPlane tells; by the raft node.
  void OnChange(const Change& change);

  // From any thread: this node's agents, with how long ago each was heard of.
  void Served(std::function<void(std::vector<v1::AgentSession>)> done);

  // Ends every stream: the node is ending. From any thread.
  void CloseAll();

 private:
  struct Session;
  struct Difference;

  // Runs task(session) on the strand if the session is still there.
  void On(uint64_t id, std::function<void(Session&)> task);
  void Open(uint64_t id, std::shared_ptr<AgentStream> stream, const chaos::v1::Agent& agent);
  void Sync(Session& session);
  // Looks at the agents that have changed since the last time; at most a tenth of the strand's
  // time is spent on this.
  void SyncChanged();
  void SyncAgent(const std::string& agent_id);
  Difference Compare(const Session& session) const;
  void Register(Session& session);
  void Report(Session& session, std::vector<chaos::v1::FaultReport> news);
  void TryGrant(Session& session);
  std::vector<Authority::Session> Live() const;

  const Options options_;
  const uint64_t lease_ns_;
  Strand* const strand_;
  ControlPlane* const plane_;
  LeaderClient* const leader_;
  Authority authority_;
  std::mutex changed_mutex_;
  std::set<std::string> changed_;  // agents to look at
  bool restored_ = false;          // all of them
  bool sync_posted_ = false;
  std::map<uint64_t, Session> sessions_;
  std::map<std::string, uint64_t> newest_;  // by agent id: its present session
};

}  // namespace faultline::server
