// Saved snapshots: what is in one, and how a new cluster begins with one.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/durable_file.h"
#include "base/status.h"
#include "raft/node.h"
#include "raft/snapshot_file.h"
#include "server/v1/directory.pb.h"

namespace faultline::server {

namespace v1 = ::server::v1;

// Reads all of it. DATA_LOSS, naming path and offset, when it is damaged; INVALID_ARGUMENT when it
// cannot be read; FAILED_PRECONDITION when it is of a version that this program does not know.
StatusOr<v1::SavedSnapshot> InspectSnapshot(const std::string& path);

// A snapshot that is being received. Nothing new stands at its path before all of it was read and
// checked. Errors of writing are ABORTED.
class SnapshotDownload {
 public:
  explicit SnapshotDownload(std::string path);
  // What is not finished is removed.
  ~SnapshotDownload();
  SnapshotDownload(const SnapshotDownload&) = delete;
  SnapshotDownload& operator=(const SnapshotDownload&) = delete;

  // From the beginning, whatever came before.
  Status Begin();
  Status Append(std::string_view bytes);
  // Durable at its path, in the place of what stood there. Errors of InspectSnapshot.
  StatusOr<v1::SavedSnapshot> Finish();

 private:
  const std::string path_, part_;
  std::unique_ptr<DurableFile> file_;
};

// The restore stands in the log so many entries behind the saved state: more than the old cluster
// can have made since, so that no revision and no experiment's id is given twice to those who have
// seen the old ones.
inline constexpr uint64_t kRestoreEntries = 1'000'000;

struct RestoreOptions {
  std::string file;
  std::string data_dir;               // missing, or empty
  uint64_t node_id = 0;               // whose directory it becomes
  std::vector<raft::Member> members;  // of the new cluster; the same for each of them
  std::string name;                   // sets apart clusters restored from one file
};

// Makes one member's data directory of a new cluster, whose id follows from the file, the members
// and the name: every member is restored by itself, and all agree. What had not ended when the
// state was saved is ended. INVALID_ARGUMENT for members that do not fit and a
// data directory that is not empty; ABORTED when it cannot be written; errors of InspectSnapshot.
// All or nothing.
StatusOr<v1::RestoredDirectory> RestoreSnapshot(const RestoreOptions& options);

}  // namespace faultline::server
