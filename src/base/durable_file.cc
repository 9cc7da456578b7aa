#include "base/durable_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>

namespace faultline {

Status IoError(std::string_view what, const std::string& path, int error) {
  const bool full = error == ENOSPC || error == EDQUOT;
  return MakeError(full ? StatusCode::kResourceExhausted : StatusCode::kUnavailable,
                   "cannot {} {}: {}", what, path, ErrnoText(error));
}

DurableFile::~DurableFile() {
  if (fd_ >= 0) close(fd_);
}

Status DurableFile::Open(std::string path, uint64_t keep_bytes) {
  path_ = std::move(path);
  fd_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd_ < 0) return IoError("create", path_, errno);
  if (ftruncate(fd_, static_cast<off_t>(keep_bytes)) != 0 || lseek(fd_, 0, SEEK_END) < 0) {
    return IoError("cut", path_, errno);
  }
  return absl::OkStatus();
}

Status DurableFile::Append(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return IoError("write", path_, errno);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

Status DurableFile::Publish(const std::string& path) {
  if (fsync(fd_) != 0) return IoError("sync", path_, errno);
  if (close(std::exchange(fd_, -1)) != 0) return IoError("close", path_, errno);
  if (rename(path_.c_str(), path.c_str()) != 0) return IoError("rename", path_, errno);
  return SyncFolder(std::filesystem::path(path).parent_path());
}

Status ReplaceFile(const std::string& path, std::string_view bytes) {
  const std::string fresh = path + ".new";
  DurableFile file;
  Status written = file.Open(fresh, 0);
  if (written.ok()) written = file.Append(bytes);
  if (written.ok()) written = file.Publish(path);
  if (!written.ok()) unlink(fresh.c_str());
  return written;
}

Status SyncFolder(const std::string& path) {
  const std::string folder = path.empty() ? "." : path;
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return IoError("open", folder, errno);
  const int error = fsync(fd) == 0 ? 0 : errno;
  close(fd);
  return error == 0 ? absl::OkStatus() : IoError("sync", folder, error);
}

}  // namespace faultline
