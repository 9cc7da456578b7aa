// This node's right to grant the control-plane lease: how lately a leader backed by a quorum has
// acknowledged that this node serves an agent.
//
// The node reports its sessions to the leader (which may be itself). The authority that an answer
// gives counts from when the report was sent, less the leader's own quorum age, holds only for the
// sessions in the report, and only once this node has applied what the leader had committed: so an
// agent that was declared lost is first told so, before it gets a lease again.
//
// Threads: everything on the strand given, which also runs the callbacks; but OnApplied.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <vector>

#include "base/strand.h"
#include "server/control_plane.h"
#include "server/peers.h"
#include "server/scheduler.h"

namespace faultline::server {

class Authority {
 public:
  struct Session {
    uint64_t id = 0;  // this node's own number of it
    std::string agent_id;
    uint64_t incarnation = 0;
    uint64_t silent_ns = 0;  // since it was heard of
  };
  struct Callbacks {
    // The sessions to report.
    std::function<std::vector<Session>()> sessions;
    // Leases may be granted to these sessions, as of that CLOCK_BOOTTIME time.
    std::function<void(const std::vector<uint64_t>& ids, uint64_t authority_ns)> granted;
  };

  Authority(uint64_t node_id, Strand* strand, ControlPlane* plane, Peers* peers,
            Scheduler* scheduler, std::chrono::milliseconds lease, Callbacks callbacks);

  // Begins to report, once a second (sooner for short leases).
  void Start();
  // Reports at once: there is a new session.
  void Ask();
  // A new revision is applied. From any thread.
  void OnApplied();

 private:
  struct Sample {
    std::vector<uint64_t> ids;
    uint64_t sent_ns = 0;
    uint64_t authority_ns = 0;
    uint64_t revision = 0;
  };

  void Tick();
  void Report();
  void Take(Sample sample, const StatusOr<v1::ReportSessionsResponse>& response);
  void UseSamples();

  const uint64_t node_id_;
  Strand* const strand_;
  ControlPlane* const plane_;
  Peers* const peers_;
  Scheduler* const scheduler_;
  const std::chrono::nanoseconds interval_;
  const Callbacks callbacks_;
  bool reporting_ = false;
  bool again_ = false;          // asked for while one was under way
  bool retrying_ = false;       // a retry is timed
  std::deque<Sample> samples_;  // waiting for this node to apply their revision
  std::atomic<bool> waiting_{false};
};

}  // namespace faultline::server
