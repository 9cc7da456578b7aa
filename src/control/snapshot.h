// The state as bytes and back, in pieces: neither side ever has all of the bytes in memory.
// Checksums are the business of whoever stores the bytes (raft/snapshot_codec.h).
//
// The bytes are items, each a kind, a length (both varints) and a message: one SnapshotHeader, the
// ExperimentRecords by created_index, the Agents by id, an empty end.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "control/state.h"

namespace faultline::control {

// The same bytes for equal states. Errors are the sink's.
Status WriteState(const StateData& state, const ByteSink& sink);

// Reads to the end. DATA_LOSS when the bytes are no state or of a format that this version does not
// know; the source's errors. Records that `present` has too are shared with it, if it is given.
StatusOr<State> ReadState(ByteSource& source, const ExperimentMap* present = nullptr);

// What stands in a written state, one message at a time, for those who do not need all at once.
// An error that a function returns ends the reading.
struct StateVisitor {
  std::function<Status(v1::SnapshotHeader)> header;
  std::function<Status(v1::ExperimentRecord)> experiment;
  std::function<Status(chaos::v1::Agent)> agent;
};
Status VisitState(ByteSource& source, const StateVisitor& visitor);

// WriteState and ReadState with all the bytes in memory.
std::string ToSnapshot(const StateData& state);
StatusOr<State> FromSnapshot(std::string_view bytes);

}  // namespace faultline::control
