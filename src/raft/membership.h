// Who belongs to a group, and what may be changed about it. Pure; not thread-safe.
#pragma once

#include <deque>
#include <functional>
#include <vector>

#include "base/status.h"
#include "raft/node.h"
#include "raft/types.h"

namespace faultline::raft {

// Voters and learners together.
inline constexpr int kMaxMembers = 7;

std::vector<Member> MembersOf(const pb::Configuration& configuration);

// `from` with one change. INVALID_ARGUMENT when the change makes no sense by itself, NOT_FOUND for
// a member that is not there, ALREADY_EXISTS (MEMBER_EXISTS has its `address`), FAILED_PRECONDITION
// when there are too many members or no voter would be left. Members that stay keep their order.
StatusOr<pb::Configuration> Changed(const pb::Configuration& from, const MemberChange& change);

// FAILED_PRECONDITION / QUORUM_AT_RISK, saying who is missing, unless a majority of `to`'s voters
// are reachable without member `moved`, which has a new address there (0: nobody has).
Status CheckKeepsQuorum(const pb::Configuration& to, uint64_t moved,
                        const std::function<bool(uint64_t id)>& reachable);

// The configurations that stand in the log from the newest committed one on. The last is in force,
// committed or not, as Raft has it.
class Configurations {
 public:
  // Forgets all others.
  void Reset(uint64_t index, pb::Configuration configuration);
  // `index` is above latest_index().
  void Append(uint64_t index, pb::Configuration configuration);
  // Entries from `index` on have been removed from the log.
  void RemoveFrom(uint64_t index);
  // The one at `index` is committed.
  void Commit(uint64_t index);

  // Both 0, and empty, on a member that has no log yet.
  uint64_t committed_index() const { return committed_index_; }
  uint64_t latest_index() const { return all_.empty() ? 0 : all_.back().index; }
  const pb::Configuration& committed() const;
  const pb::Configuration& latest() const;
  bool pending() const { return latest_index() != committed_index_; }

 private:
  struct Entry {
    uint64_t index;
    pb::Configuration configuration;
  };
  uint64_t committed_index_ = 0;
  std::deque<Entry> all_;  // by index; the committed one first, if any is
};

}  // namespace faultline::raft
