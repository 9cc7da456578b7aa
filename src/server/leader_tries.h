// What one call's search for the leader came to, try by try, and what it says when it ends without
// an answer.
//
// Threads: every method may be called from any thread.
#pragma once

#include <cstdint>
#include <mutex>

#include "base/status.h"
#include "raft/node.h"

namespace faultline::server {

// UNAVAILABLE: why node `node_id`, with that view of its own, knows no leader. STORAGE_FAILED with
// what its disk says, if that takes nothing, else NO_LEADER.
Status NoLeader(uint64_t node_id, const raft::View& view);

// UNAVAILABLE / NODE_ENDING.
Status NodeEnding(uint64_t node_id);

// What a call does where it is carried out.
enum class Effect {
  kNone,
  kChange,
  kChangeOnce,  // however often it is asked for, by its request id
};

class LeaderTries {
 public:
  LeaderTries(uint64_t node_id, Effect effect);

  // Nobody leads, by this node's own view.
  void FoundNone(const raft::View& view);
  // A node that leads is asked. Failed, if it does not answer well, comes before the next try.
  void Asks();
  void Failed(uint64_t asked, const Status& status);
  // The leader's refusal ends the search: WithOutcome of it, for what was sent before.
  Status Refused(const Status& status);

  // UNAVAILABLE with what the last try came to: reason STORAGE_FAILED when a disk takes nothing,
  // else NO_LEADER.
  Status Last() const;
  // `status`, which says so as well when a command was sent whose outcome is not known. Its details
  // stay.
  Status WithOutcome(const Status& status) const;

 private:
  const uint64_t node_id_;
  const Effect effect_;
  mutable std::mutex mutex_;
  Status last_;
  bool asking_ = false;   // a leader has not answered yet
  bool unknown_ = false;  // what a leader was sent may have been carried out
};

}  // namespace faultline::server
