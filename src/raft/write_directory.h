// Makes a data directory for a node to start on: offline, whole or not at all.
#pragma once

#include <functional>
#include <string>

#include "raft/identity.h"
#include "raft/snapshot_file.h"
#include "raft/types.h"

namespace faultline::raft {

// The path itself, if nothing is there, else with "-2", "-3", ... behind it.
std::string FreshPath(const std::string& path);

// Makes the log's snapshot in the new directory's folder.
using SnapshotMaker = std::function<StatusOr<SnapshotPtr>(SnapshotFolder&)>;

// Writes `dir`, where nothing is, with what `log` writes; its snapshot is made by `snapshot`, which
// may be empty. Owner and permissions are those of `like`. Durable when it returns OK, else nothing
// is left of it. Errors of LogStore and of `snapshot`.
Status WriteDirectory(const std::string& dir, const Identity& identity, LogWrite log,
                      const SnapshotMaker& snapshot, const std::string& like);

}  // namespace faultline::raft
