#include "raft/load_snapshot.h"

#include <utility>

namespace faultline::raft {

StatusOr<std::shared_ptr<LoadedState>> LoadSnapshot(const Snapshot& snapshot,
                                                    const StateMachine& machine) {
  const std::string& name = snapshot.bytes->name();
  FL_ASSIGN_OR_RETURN(auto bytes, snapshot.bytes->Read(0));
  FL_ASSIGN_OR_RETURN(const auto decoder, SnapshotDecoder::Open(std::move(bytes), name));
  FL_ASSIGN_OR_RETURN(auto state, machine.Load(*decoder));
  for (;;) {
    FL_ASSIGN_OR_RETURN(const std::string_view rest, decoder->Next());
    if (rest.empty()) break;
  }
  const pb::SnapshotMetadata& found = decoder->header().metadata();
  const pb::SnapshotMetadata& expected = snapshot.metadata;
  if (decoder->sum() != snapshot.sum || found.last_index() != expected.last_index() ||
      found.last_term() != expected.last_term()) {
    return MakeError(StatusCode::kDataLoss,
                     "{} is another snapshot (index {}, term {}) than the log says (index {}, "
                     "term {})",
                     name, found.last_index(), found.last_term(), expected.last_index(),
                     expected.last_term());
  }
  return state;
}

}  // namespace faultline::raft
