// The durable part of a member: term and vote, entries, newest snapshot. RocksDB underneath, the
// snapshot's bytes in a file beside it.
//
// Whatever Write returned OK for is there at the next Open, whatever happens to the process; and
// after a power loss, on disks that keep their promises. A torn last record that was never
// acknowledged is discarded; any other damage, or acknowledged writes that have gone, are refused
// at Open: nothing is guessed.
#pragma once

#include <memory>
#include <string>

#include "base/status.h"
#include "raft/snapshot_file.h"
#include "raft/types.h"

namespace rocksdb {
class Env;
}

namespace faultline::raft {

class LogStore {
 public:
  // Opens or creates the log in `dir` and checks all of it. FAILED_PRECONDITION when another
  // process has it or the directory cannot be used; DATA_LOSS, naming the file and where RocksDB or
  // our own scan know it the offset, when it is damaged.
  // `env`: through which RocksDB reaches the disk; null: its own.
  static StatusOr<std::unique_ptr<LogStore>> Open(const std::string& dir,
                                                  rocksdb::Env* env = nullptr);
  ~LogStore();
  LogStore(const LogStore&) = delete;
  LogStore& operator=(const LogStore&) = delete;

  // What Open found; empty on the second call.
  LoadedLog TakeLoaded();

  // Makes all of `write` durable at once or, after a crash, none of it. Blocks for a disk sync.
  // One thread at a time. A snapshot is one of snapshots(); the file of the one before is removed.
  // RESOURCE_EXHAUSTED when the disk is full, UNAVAILABLE when it fails: none of it counts as
  // durable then, and nothing can be written before Recover.
  Status Write(const LogWrite& write);

  // After a failed Write: opens the log again. Whether the failed write is there is not known:
  // write it again. Errors of Write when the disk is still full or failing; DATA_LOSS when what was
  // acknowledged is damaged or gone.
  Status Recover();

  SnapshotFolder& snapshots();

 private:
  struct Impl;
  explicit LogStore(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace faultline::raft
