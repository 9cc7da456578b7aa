// A snapshot's bytes back into a state.
#pragma once

#include <memory>

#include "raft/node.h"
#include "raft/types.h"

namespace faultline::raft {

// Reads and checks all of it. DATA_LOSS, naming file and offset, when it is damaged, is another one
// than `snapshot` says, or is not a state of `machine`'s.
StatusOr<std::shared_ptr<LoadedState>> LoadSnapshot(const Snapshot& snapshot,
                                                    const StateMachine& machine);

}  // namespace faultline::raft
