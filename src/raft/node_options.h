// What raft/node.h asks of its options.
#pragma once

#include "raft/node.h"

namespace faultline::raft {

// INVALID_ARGUMENT by field; of members only what an empty log needs is left to the next one.
Status CheckOptions(const Options& options);

// Whether a new log can begin with options.members.
Status CheckInitialMembers(const Options& options);

}  // namespace faultline::raft
