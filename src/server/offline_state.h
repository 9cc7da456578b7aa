// The control plane's state outside of a running node: in a log that was read, in a saved file.
#pragma once

#include <string>

#include "control/state.h"
#include "raft/examine.h"
#include "server/v1/directory.pb.h"

namespace faultline::server {

namespace v1 = ::server::v1;

// The state in a snapshot. DATA_LOSS, naming path and offset, when it is damaged;
// FAILED_PRECONDITION when it is of a version of commands that this program does not know.
StatusOr<control::State> StateOf(const raft::Snapshot& snapshot);
StatusOr<control::State> StateOfFile(const std::string& path);

// The state with every entry of the log applied: which of the last ones were committed is not
// known without the other members. Errors as above.
StatusOr<control::State> StateOf(const raft::LoadedLog& log);

v1::StateSummary Summarize(const control::State& state);
v1::SnapshotSummary Summarize(const std::string& path, const raft::SnapshotFacts& snapshot);

}  // namespace faultline::server
