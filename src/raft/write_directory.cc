#include "raft/write_directory.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <utility>

#include "raft/log_store.h"

namespace faultline::raft {
namespace {

namespace fs = std::filesystem;

Status Own(const fs::path& path, const struct stat& like) {
  struct stat present{};
  if (lstat(path.c_str(), &present) != 0 ||
      ((present.st_uid != like.st_uid || present.st_gid != like.st_gid) &&
       lchown(path.c_str(), like.st_uid, like.st_gid) != 0)) {
    return MakeError(StatusCode::kFailedPrecondition, "{} cannot be given its owner: {}",
                     path.string(), ErrnoText(errno));
  }
  return absl::OkStatus();
}

Status OwnLike(const std::string& dir, const std::string& like) {
  struct stat wanted{};
  if (stat(like.c_str(), &wanted) != 0) {
    return MakeError(StatusCode::kFailedPrecondition, "{}: {}", like, ErrnoText(errno));
  }
  FL_RETURN_IF_ERROR(Own(dir, wanted));
  std::error_code error;
  for (const auto& file : fs::recursive_directory_iterator(dir, error)) {
    FL_RETURN_IF_ERROR(Own(file.path(), wanted));
  }
  if (chmod(dir.c_str(), wanted.st_mode & 07777) != 0) {
    return MakeError(StatusCode::kFailedPrecondition, "{}: {}", dir, ErrnoText(errno));
  }
  return absl::OkStatus();
}

Status Write(const std::string& dir, const Identity& identity, LogWrite log,
             const SnapshotMaker& snapshot) {
  {
    FL_ASSIGN_OR_RETURN(const auto store, LogStore::Open(dir));
    if (snapshot) {
      FL_ASSIGN_OR_RETURN(log.snapshot, snapshot(store->snapshots()));
    }
    FL_RETURN_IF_ERROR(store->Write(log));
  }
  return SaveIdentity(dir, identity);
}

}  // namespace

std::string FreshPath(const std::string& path) {
  std::error_code ignored;
  for (int i = 1;; ++i) {
    const std::string fresh = i == 1 ? path : fmt::format("{}-{}", path, i);
    if (!fs::exists(fs::symlink_status(fresh, ignored))) return fresh;
  }
}

Status WriteDirectory(const std::string& dir, const Identity& identity, LogWrite log,
                      const SnapshotMaker& snapshot, const std::string& like) {
  Status status = Write(dir, identity, std::move(log), snapshot);
  if (status.ok()) status = OwnLike(dir, like);
  if (status.ok()) status = SyncFolder(dir);
  std::error_code ignored;
  if (!status.ok()) fs::remove_all(dir, ignored);
  return status;
}

}  // namespace faultline::raft
