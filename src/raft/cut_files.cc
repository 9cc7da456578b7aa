#include "raft/cut_files.h"

#include <algorithm>
#include <filesystem>
#include <memory>

namespace faultline::raft {
namespace {

using rocksdb::IOStatus;

IOStatus ReadOnly(const std::string& path) { return IOStatus::IOError("is only read", path); }

// A sequential file that ends early.
class CutFile final : public rocksdb::FSSequentialFileOwnerWrapper {
 public:
  CutFile(std::unique_ptr<rocksdb::FSSequentialFile> file, int64_t size)
      : FSSequentialFileOwnerWrapper(std::move(file)), left_(static_cast<uint64_t>(size)) {}

  IOStatus Read(size_t count, const rocksdb::IOOptions& options, rocksdb::Slice* result,
                char* scratch, rocksdb::IODebugContext* debug) override {
    const IOStatus status = FSSequentialFileOwnerWrapper::Read(std::min<uint64_t>(count, left_),
                                                               options, result, scratch, debug);
    if (status.ok()) left_ -= result->size();
    return status;
  }
  IOStatus Skip(uint64_t count) override {
    left_ -= std::min(count, left_);
    return FSSequentialFileOwnerWrapper::Skip(count);
  }
  bool use_direct_io() const override { return false; }

 private:
  uint64_t left_;
};

}  // namespace

int64_t CutFiles::CutOf(const std::string& path) const {
  const auto found = cuts_.find(std::filesystem::path(path).lexically_normal().string());
  return found == cuts_.end() ? INT64_MAX : found->second;
}

IOStatus CutFiles::NewSequentialFile(const std::string& path, const rocksdb::FileOptions& options,
                                     std::unique_ptr<rocksdb::FSSequentialFile>* file,
                                     Debug* debug) {
  const int64_t cut = CutOf(path);
  if (cut == kHidden) return IOStatus::PathNotFound(path);
  const IOStatus status = FileSystemWrapper::NewSequentialFile(path, options, file, debug);
  if (status.ok() && cut != INT64_MAX) *file = std::make_unique<CutFile>(std::move(*file), cut);
  return status;
}

IOStatus CutFiles::GetFileSize(const std::string& path, const Options& options, uint64_t* size,
                               Debug* debug) {
  const int64_t cut = CutOf(path);
  if (cut == kHidden) return IOStatus::PathNotFound(path);
  const IOStatus status = FileSystemWrapper::GetFileSize(path, options, size, debug);
  if (status.ok()) *size = std::min(*size, static_cast<uint64_t>(cut));
  return status;
}

IOStatus CutFiles::FileExists(const std::string& path, const Options& options, Debug* debug) {
  if (CutOf(path) == kHidden) return IOStatus::NotFound(path);
  return FileSystemWrapper::FileExists(path, options, debug);
}

IOStatus CutFiles::GetChildren(const std::string& dir, const Options& options,
                               std::vector<std::string>* names, Debug* debug) {
  const IOStatus status = FileSystemWrapper::GetChildren(dir, options, names, debug);
  std::erase_if(*names,
                [&](const std::string& name) { return CutOf(dir + "/" + name) == kHidden; });
  return status;
}

IOStatus CutFiles::NewWritableFile(const std::string& path, const rocksdb::FileOptions&,
                                   std::unique_ptr<rocksdb::FSWritableFile>*, Debug*) {
  return ReadOnly(path);
}
IOStatus CutFiles::ReopenWritableFile(const std::string& path, const rocksdb::FileOptions&,
                                      std::unique_ptr<rocksdb::FSWritableFile>*, Debug*) {
  return ReadOnly(path);
}
IOStatus CutFiles::ReuseWritableFile(const std::string& path, const std::string&,
                                     const rocksdb::FileOptions&,
                                     std::unique_ptr<rocksdb::FSWritableFile>*, Debug*) {
  return ReadOnly(path);
}
IOStatus CutFiles::NewRandomRWFile(const std::string& path, const rocksdb::FileOptions&,
                                   std::unique_ptr<rocksdb::FSRandomRWFile>*, Debug*) {
  return ReadOnly(path);
}
IOStatus CutFiles::DeleteFile(const std::string& path, const Options&, Debug*) {
  return ReadOnly(path);
}
IOStatus CutFiles::Truncate(const std::string& path, size_t, const Options&, Debug*) {
  return ReadOnly(path);
}
IOStatus CutFiles::CreateDir(const std::string& path, const Options&, Debug*) {
  return ReadOnly(path);
}
IOStatus CutFiles::CreateDirIfMissing(const std::string& path, const Options&, Debug*) {
  return ReadOnly(path);
}
IOStatus CutFiles::DeleteDir(const std::string& path, const Options&, Debug*) {
  return ReadOnly(path);
}
IOStatus CutFiles::RenameFile(const std::string& path, const std::string&, const Options&, Debug*) {
  return ReadOnly(path);
}
IOStatus CutFiles::LinkFile(const std::string& path, const std::string&, const Options&, Debug*) {
  return ReadOnly(path);
}

}  // namespace faultline::raft
