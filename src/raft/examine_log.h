// Internal to raft/examine.h: the content of the log, and how it fits with the snapshots.
#pragma once

#include <map>
#include <string>

#include "raft/cut_files.h"
#include "raft/examine.h"

namespace faultline::raft {

struct SnapshotFile {
  std::string path;
  StatusOr<SnapshotFacts> facts = absl::UnknownError("");
  Damage damage;  // when facts are none
};
using SnapshotFiles = std::map<std::string, SnapshotFile>;  // by name

// Fills in what `found` says about the log and its snapshot. The log's files end where `cuts` says.
// FAILED_PRECONDITION when they may not be read.
Status ExamineLog(const CutFiles::Cuts& cuts, const SnapshotFiles& snapshots, Examination* found);

}  // namespace faultline::raft
