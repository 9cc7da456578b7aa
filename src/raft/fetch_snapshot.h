// A snapshot from another member, into this node's folder and into a state.
#pragma once

#include <atomic>

#include "raft/driver.h"
#include "raft/snapshot_file.h"

namespace faultline::raft {

// Fetches what `from` has offered (`wanted` is without its bytes), checks and loads it. What has
// come is kept when it is interrupted, and goes on there the next time. Blocks until it is done,
// nothing has come for some time, or soon after `stopping`. Errors of Transport::FetchSnapshot,
// SnapshotFolder and LoadSnapshot.
StatusOr<Driver::Fetched> FetchSnapshot(const Member& from, const SnapshotPtr& wanted,
                                        Transport* transport, SnapshotFolder* folder,
                                        const StateMachine& machine,
                                        const std::atomic<bool>& stopping);

}  // namespace faultline::raft
