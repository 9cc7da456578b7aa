// What `faultline-controller check|repair|export` do with a data directory that no controller runs
// on.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/status.h"
#include "server/v1/directory.pb.h"

namespace faultline::server {

namespace v1 = ::server::v1;

// Reads all of it and changes nothing. NOT_FOUND when it is no data directory;
// FAILED_PRECONDITION when a controller has it or it may not be read. Damage is in the report.
StatusOr<v1::DirectoryReport> CheckDirectory(const std::string& dir);

struct RepairReport {
  v1::DirectoryReport before;
  bool repaired = false;  // else nothing was damaged, and nothing was done
  std::string old_dir;    // where the damaged one is now
  uint64_t term = 0;      // of the new one
};
// Puts what can be read without a gap in the directory's place, with the term raised; the damaged
// directory stays beside it. `node_id`: whose it is, when its identity cannot be read. Errors of
// CheckDirectory and raft::RepairDirectory.
StatusOr<RepairReport> RepairDirectory(const std::string& dir, std::optional<uint64_t> node_id);

// Gives the state as lines: the directory's report, every experiment in the order of creation,
// every agent. Errors of CheckDirectory; DATA_LOSS when it is damaged: repair it first.
Status ExportDirectory(const std::string& dir,
                       const std::function<Status(const v1::ExportLine&)>& line);

}  // namespace faultline::server
