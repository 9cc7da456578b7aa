// A data directory that no node runs on, looked at as a whole: what is there, what is damaged, and
// what of it can be read without a gap. Changes nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "raft/identity.h"
#include "raft/snapshot_file.h"
#include "raft/types.h"
#include "raft/watermark.h"

namespace faultline::raft {

// Why a node does not start on the directory.
struct Damage {
  std::string path;
  std::optional<uint64_t> offset;
  std::string what;  // a clause: "a record does not match its checksum"
};

struct Examination {
  std::string dir;  // without links
  // Locked for as long as this lives: no node starts on it meanwhile.
  std::unique_ptr<Watermark> lock;
  std::optional<Identity> identity;
  std::vector<Damage> damages;     // none: a node would start
  std::vector<std::string> notes;  // what is no damage, and worth knowing
  std::optional<Damage> torn;      // the newest write-ahead log ends in a torn record

  // What can be read without a gap, which is all when nothing is damaged. The hard state is as the
  // log has it; of term 0 when it cannot be read.
  LoadedLog log;
  std::optional<SnapshotFacts> snapshot;  // of log.snapshot
  // What `log` lacks, a clause each, such as "entries 12 to 17".
  std::vector<std::string> cuts;

  // `log` is something that a node can begin with.
  bool begins() const { return log.snapshot != nullptr || !log.entries.empty(); }
  uint64_t last_index() const { return log.first_index + log.entries.size() - 1; }
};

// NOT_FOUND when `dir` is no data directory; FAILED_PRECONDITION when another process has it or it
// may not be read. Damage is in the result.
StatusOr<Examination> ExamineDirectory(const std::string& dir);

}  // namespace faultline::raft
