// What can still be read of a damaged data directory, as a directory that a node starts on.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "raft/examine.h"

namespace faultline::raft {

// By so much the term is raised: a record that was lost may have held a vote.
inline constexpr uint64_t kRepairTerms = 1'000;

struct Repaired {
  std::string old_dir;  // where all of the old directory is now
  Identity identity;  // of the new one: with another store_id, since it lacks what the old one had
  HardState hard_state;  // of the new one
};

// Puts a new directory with the examination's log in the place of its directory, in one step; the
// old one, untouched, then stands beside it as "<dir>.damaged" (or "<dir>.damaged-2", ...).
// `node_id`: whose it is, if its identity cannot be read. INVALID_ARGUMENT when that is not said,
// or said otherwise; DATA_LOSS when there is nothing that a node could begin with;
// RESOURCE_EXHAUSTED, UNAVAILABLE and FAILED_PRECONDITION when the new directory cannot be written
// or put there: nothing has changed then.
StatusOr<Repaired> RepairDirectory(const Examination& examination, std::optional<uint64_t> node_id);

}  // namespace faultline::raft
