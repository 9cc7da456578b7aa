// Writes and read points, wherever the leader is: on this node, or by forwarding. Looks for a
// leader until the call's deadline, so that an election is a pause and not an error. Every command
// that is sent through here may be applied twice without harm (request ids, level-triggered
// reports).
//
// Threads: every method may be called from any thread.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "base/strand.h"
#include "server/control_plane.h"
#include "server/deadlines.h"
#include "server/freshness.h"
#include "server/peers.h"
#include "server/scheduler.h"

namespace faultline::server {

class LeaderClient {
 public:
  // All of them outlive the object's last call; `timers` runs pauses and time-outs.
  LeaderClient(uint64_t node_id, ControlPlane* plane, Peers* peers, Scheduler* scheduler,
               Strand* timers)
      : node_id_(node_id), plane_(plane), peers_(peers), scheduler_(scheduler), timers_(timers) {}

  // Begins to ask the leader once a second how far the log is, for Age, and tells it this node's
  // version with that.
  void Start();

  // The applied command's result; its error, if it was refused. UNAVAILABLE when no leader was
  // found in time, with what the last try came to: reason STORAGE_FAILED when a disk takes nothing,
  // else NO_LEADER. An error's message says so when the command was sent and its outcome is not
  // known.
  void Propose(const CallContext& context, control::v1::Command command,
               Done<control::v1::Result> done);

  // OK once this node has applied everything that was committed before the call; UNAVAILABLE with
  // reason STORAGE_FAILED, NO_LEADER or NODE_BEHIND when that takes too long. Calls that come while
  // many are under way share a question to the leader that is sent after them.
  void CatchUp(const CallContext& context, std::function<void(Status)> done);

  // The same, with which agents some node serves and how long ago each was last heard of.
  void CatchUpWithAgents(const CallContext& context, Done<std::vector<v1::AgentSession>> done);

  // How long ago the state at `revision`, applied here, was last known to hold everything that was
  // committed; nothing when it never was.
  std::optional<std::chrono::nanoseconds> Age(uint64_t revision);

 private:
  template <typename Response>
  class Search;
  using Point = v1::ReadIndexResponse;
  // Questions to one node.
  struct Line {
    struct Waiting {
      uint64_t deadline_ns;
      Done<Point> done;
    };
    int asked = 0;                 // under way
    std::vector<Waiting> waiting;  // for the next
  };

  v1::ReadIndexRequest Question(bool agents) const;
  void FindPoint(const CallContext& context, bool agents, Done<Point> done);
  // A point asked for after this call, by this call's question or one shared with others.
  void AskShared(uint64_t node_id, uint64_t deadline_ns, Done<Point> done);
  void AskNext(uint64_t node_id);
  void AskLocal(bool agents, Done<Point> done);
  void Tick();

  const uint64_t node_id_;
  ControlPlane* const plane_;
  Peers* const peers_;
  Scheduler* const scheduler_;
  Strand* const timers_;
  Deadlines deadlines_{timers_};
  Freshness freshness_;
  std::mutex mutex_;
  std::map<uint64_t, Line> lines_;  // by node
};

}  // namespace faultline::server
