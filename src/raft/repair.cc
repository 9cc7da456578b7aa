#include "raft/repair.h"

#include <fcntl.h>
#include <stdio.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "raft/write_directory.h"

namespace faultline::raft {
namespace {

namespace fs = std::filesystem;

StatusOr<Identity> IdentityFor(const Examination& examination, std::optional<uint64_t> node_id) {
  const std::optional<Identity>& old = examination.identity;
  if (!old && !node_id) {
    return FieldError("id", "",
                      fmt::format("the node's number; {}/identity, which would tell it, cannot be "
                                  "read",
                                  examination.dir));
  }
  if (old && node_id && *node_id != old->node_id) {
    return FieldError("id", fmt::format("{}", *node_id),
                      fmt::format("{}, whose directory {} is", old->node_id, examination.dir));
  }
  Identity identity = NewIdentity(old ? old->node_id : *node_id);
  if (old) {
    identity.cluster_id = old->cluster_id;
    identity.joined = old->joined;
  }
  return identity;
}

HardState RaisedTerm(const LoadedLog& log) {
  uint64_t term = log.hard_state.term;
  if (log.snapshot) term = std::max(term, log.snapshot->metadata.last_term());
  if (!log.entries.empty()) term = std::max(term, log.entries.back()->term());
  return {term + kRepairTerms, 0};
}

StatusOr<SnapshotPtr> CopySnapshot(const SnapshotPtr& from, SnapshotFolder& to) {
  DurableFile file;
  uint64_t size_bytes = 0;
  FL_RETURN_IF_ERROR(to.OpenPart(from, &file, &size_bytes));
  FL_ASSIGN_OR_RETURN(const auto bytes, from->bytes->Read(size_bytes));
  for (;;) {
    FL_ASSIGN_OR_RETURN(const std::string_view piece, bytes->Next());
    if (piece.empty()) break;
    FL_RETURN_IF_ERROR(file.Append(piece));
  }
  return to.FinishPart(from, &file);
}

}  // namespace

StatusOr<Repaired> RepairDirectory(const Examination& examination,
                                   std::optional<uint64_t> node_id) {
  if (!examination.begins()) {
    return MakeError(StatusCode::kDataLoss,
                     "nothing that a node could begin with can be read in {}: neither a whole "
                     "snapshot nor the log's beginning",
                     examination.dir);
  }
  Repaired repaired;
  FL_ASSIGN_OR_RETURN(repaired.identity, IdentityFor(examination, node_id));
  repaired.hard_state = RaisedTerm(examination.log);
  const LoadedLog& log = examination.log;
  LogWrite write;
  write.hard_state = repaired.hard_state;
  write.first_index = log.first_index;
  write.entries = log.entries;
  SnapshotMaker copy;
  if (log.snapshot) {
    copy = [&log](SnapshotFolder& folder) { return CopySnapshot(log.snapshot, folder); };
  }
  const std::string& dir = examination.dir;
  const std::string beside = FreshPath(dir + ".damaged");
  Status status = WriteDirectory(beside, repaired.identity, std::move(write), copy, dir);
  if (status.ok() && renameat2(AT_FDCWD, beside.c_str(), AT_FDCWD, dir.c_str(), RENAME_EXCHANGE)) {
    status = MakeError(StatusCode::kFailedPrecondition,
                       "the new directory cannot take the place of {}: {}", dir, ErrnoText(errno));
  }
  if (!status.ok()) {
    std::error_code ignored;
    fs::remove_all(beside, ignored);
    return status;
  }
  FL_RETURN_IF_ERROR(SyncFolder(fs::path(dir).parent_path()));
  repaired.old_dir = beside;
  return repaired;
}

}  // namespace faultline::raft
