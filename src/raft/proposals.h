// Commands on their way: queued until they are submitted to the core, then waiting until they are
// applied. Pure; not thread-safe.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "raft/node.h"
#include "raft/types.h"

namespace faultline::raft {

// UNAVAILABLE / NOT_LEADER, with the leader's id and address as metadata when known.
Status NotLeaderError(const View& view);
// UNAVAILABLE / STORAGE_FAILED.
Status StorageFailedError(const Status& problem);
// ABORTED / LEADERSHIP_LOST.
Status LeadershipLostError();
// DEADLINE_EXCEEDED / TOO_LATE.
Status TooLateError();

class Proposals {
 public:
  // Limits of what is on its way at once.
  static constexpr size_t kMaxCount = 16'384;
  static constexpr size_t kMaxBytes = 64 << 20;

  // Runs `done` at once with RESOURCE_EXHAUSTED when a limit is reached. `deadline_ns`: of the
  // clock of `now_ns`; 0: none.
  void Add(std::string command, Node::ProposeDone done, uint64_t now_ns, uint64_t deadline_ns = 0);
  bool has_queued() const { return !queued_.empty(); }
  // When the first of the queued commands came; there must be one.
  uint64_t queued_since_ns() const { return queued_.front().since_ns; }

  // The queued commands as entries of `term`; they wait from then on for indexes from `first_index`
  // on. Those whose deadline is over fail with TOO_LATE instead.
  std::vector<EntryPtr> Submit(uint64_t first_index, uint64_t term, uint64_t now_ns);
  // Somebody here waits for the result of the entry at `index`, the lowest that is not applied.
  bool WaitFor(uint64_t index) const {
    return !waiting_.empty() && waiting_.front().index == index;
  }
  // Gives `result` to whoever proposed the entry at `index`, if it was proposed here.
  void Applied(uint64_t index, uint64_t term, std::string result);

  void FailQueued(const Status& status);
  void FailWaiting(const Status& status);

 private:
  struct Queued {
    std::string command;
    Node::ProposeDone done;
    uint64_t since_ns;
    uint64_t deadline_ns;
  };
  struct Waiting {
    uint64_t index;
    size_t size_bytes;
    Node::ProposeDone done;
  };

  std::deque<Queued> queued_;
  std::deque<Waiting> waiting_;  // by index
  size_t bytes_ = 0;
};

}  // namespace faultline::raft
