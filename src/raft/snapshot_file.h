// A member's snapshots on its disk: files in the folder "snapshots" of its data directory, each
// complete, synced and renamed before it has a name that ends in ".snapshot". Which one counts is
// said by the log (raft/log_store.h).
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "base/bytes.h"
#include "base/durable_file.h"
#include "raft/state_image.h"
#include "raft/types.h"

namespace faultline::raft {

// The bytes of the file at `path` from `offset` on. UNAVAILABLE, naming the path, when it cannot be
// read.
StatusOr<std::unique_ptr<ByteSource>> ReadFileFrom(const std::string& path, uint64_t offset);

// What a whole snapshot file is.
struct SnapshotFacts {
  pb::SnapshotHeader header;
  SnapshotSum sum;
  uint64_t content_bytes = 0;
};
// Reads all of it and checks every sum. DATA_LOSS, naming path and offset, when it is damaged or no
// snapshot at all; UNAVAILABLE when it cannot be read.
StatusOr<SnapshotFacts> CheckSnapshotFile(const std::string& path);

// Creates a state's snapshot: header, what write() gives, trailer. Nothing stands at `path` but a
// whole snapshot; what is under way is "<path>.tmp", removed after an error.
StatusOr<SnapshotSum> WriteSnapshotFile(const std::string& path, const pb::SnapshotHeader& header,
                                        const std::function<Status(const ByteSink&)>& write);

// Thread-safe.
class SnapshotFolder {
 public:
  // `path` is created when something is written first.
  explicit SnapshotFolder(std::string path) : path_(std::move(path)) {}

  // Writes a state's snapshot, as made now or as the header says.
  StatusOr<SnapshotPtr> Write(const pb::SnapshotMetadata& metadata, const StateImage& image);
  StatusOr<SnapshotPtr> Write(const pb::SnapshotHeader& header, const StateImage& image);
  // Opens the file that the log names. DATA_LOSS when it is missing or has another size; its
  // content is checked when it is read.
  StatusOr<SnapshotPtr> Open(const pb::SnapshotRecord& record);

  // A snapshot that is fetched from another member. Several calls go on with one file as long as
  // they mean the same snapshot; a file of another one is removed.
  Status OpenPart(const SnapshotPtr& wanted, DurableFile* file, uint64_t* size_bytes);
  // The part is whole: becomes a snapshot like those written here. Its content is not checked.
  StatusOr<SnapshotPtr> FinishPart(const SnapshotPtr& wanted, DurableFile* file);
  void RemovePart(const SnapshotPtr& wanted);

  // Removes every snapshot but `record`'s; unfinished fetches stay. At start, before the rest.
  void RemoveOthers(const pb::SnapshotRecord* record);

  // A snapshot's file is removed with its last owner, unless it is kept.
  static void SetKept(const Snapshot& snapshot, bool kept);
  // Name of its file. Of one that this folder made.
  static std::string NameOf(const Snapshot& snapshot);

  const std::string& path() const { return path_; }

 private:
  // A path that nothing has.
  std::string FreshPath(const pb::SnapshotMetadata& metadata);
  std::string PartPath(const Snapshot& wanted) const;

  const std::string path_;
  std::mutex mutex_;
  uint64_t next_ = 0;
};

}  // namespace faultline::raft
