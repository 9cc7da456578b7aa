// When each member last acknowledged us as leader of the present term, by the time at which we sent
// what it acknowledged; and the readers that wait for a quorum's acknowledgement. Pure; not
// thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <vector>

#include "base/status.h"

namespace faultline::raft {

class QuorumClock {
 public:
  static constexpr uint64_t kAlways = UINT64_MAX;  // a single member needs nobody

  // This node begins to lead voters `others`, itself not among them.
  void Begin(const std::vector<uint64_t>& others);
  // The voters have changed; what those that stay have acknowledged still counts.
  void SetOthers(const std::vector<uint64_t>& others);
  // It leads no longer.
  void End();
  void Acknowledge(uint64_t member, uint64_t sent_ns);
  // At this time at the earliest a quorum, this node included, took it for the leader. 0: not known
  // or not leading.
  uint64_t quorum_ns() const { return quorum_ns_; }

  // `done` runs with OK from Finish once a quorum has acknowledged something sent at or after
  // `asked_ns`, and `index` is applied.
  void AddReader(uint64_t asked_ns, uint64_t index, std::function<void(Status)> done);
  // Runs what may run.
  void Finish(uint64_t applied_index);
  void FailReaders(const Status& status);
  // Whether members should be asked now. At most one question is under way, unless `retry_ns` have
  // passed. True counts as asked.
  bool ShouldAsk(uint64_t now_ns, uint64_t retry_ns);

 private:
  struct Reader {
    uint64_t asked_ns;
    uint64_t index;
    std::function<void(Status)> done;
  };
  void Update();

  std::map<uint64_t, uint64_t> acknowledged_ns_;  // by member
  bool leading_ = false;
  uint64_t quorum_ns_ = 0;
  uint64_t question_ns_ = 0;  // newest
  std::deque<Reader> readers_;
};

}  // namespace faultline::raft
