// Files that are there after a loss of power.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace faultline {

// "cannot <what> <path>: ...". RESOURCE_EXHAUSTED when the disk is full, UNAVAILABLE for other
// errors.
Status IoError(std::string_view what, const std::string& path, int error);

// A file that is written from its beginning (or goes on behind what it has) and becomes durable.
// Errors are IoError's.
class DurableFile {
 public:
  DurableFile() = default;
  ~DurableFile();
  DurableFile(const DurableFile&) = delete;
  DurableFile& operator=(const DurableFile&) = delete;

  // Creates or opens `path` and cuts it off after `keep_bytes`.
  Status Open(std::string path, uint64_t keep_bytes);
  Status Append(std::string_view bytes);
  // Syncs, closes and renames it to `path`, which may be the name that it has, durably.
  Status Publish(const std::string& path);

 private:
  std::string path_;
  int fd_ = -1;
};

// Puts a file with these bytes in the place of what is at `path`: the one or the other stands there
// whenever the power goes. What is under way is "<path>.new", removed after an error.
Status ReplaceFile(const std::string& path, std::string_view bytes);

// Makes a change of the folder's names durable; "" is the working directory. IoError's.
Status SyncFolder(const std::string& path);

}  // namespace faultline
