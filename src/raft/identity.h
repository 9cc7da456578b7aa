// Whose a data directory is: kept in it, beside the log, in the file `identity`.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"

namespace faultline::raft {

struct Identity {
  uint64_t node_id = 0;
  // Of this directory, made once at random: two nodes with one id differ in it, and so does a node
  // that has lost its directory.
  uint64_t store_id = 0;
  std::string cluster_id;  // empty: not known yet
  bool joined = false;     // began with an empty log that a leader was to fill
};

// Of a directory that is to be made: with a store_id that nobody has.
Identity NewIdentity(uint64_t node_id);

// NOT_FOUND when there is none; DATA_LOSS when the file is damaged.
StatusOr<Identity> ReadIdentity(const std::string& dir);

// Reads it, or makes the directory and it; `joins` is for a new one. FAILED_PRECONDITION when the
// directory is another node's; DATA_LOSS when the file is damaged, or tells of a log that is gone.
StatusOr<Identity> OpenIdentity(const std::string& dir, uint64_t node_id, bool joins);

// Durable when it returns OK; errors are IoError's.
Status SaveIdentity(const std::string& dir, const Identity& identity);

}  // namespace faultline::raft
