// What a node counts of itself, for those who watch it. Read from any thread.
#pragma once

#include "base/meter.h"

namespace faultline::raft {

struct Meters {
  Counter proposals;          // commands that Node::Propose was given
  Counter proposals_refused;  // of them, those that were answered with an error
  DurationMeter commit;       // from Node::Propose until the command was applied
  DurationMeter write;        // one write of the log, synced
  Counter write_failures;
  Counter leader_changes;  // times that another leader became known
  Counter elections;       // times that this node stood for election
  Counter snapshots_taken, snapshots_failed, snapshots_fetched, snapshot_fetches_failed;
  Level snapshot_index;  // of the newest durable one; 0 without
  Level snapshot_bytes;
};

}  // namespace faultline::raft
