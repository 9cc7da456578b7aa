// Internal: the disk as a reader of a damaged log is to see it. Changes nothing.
#pragma once

#include <rocksdb/file_system.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace faultline::raft {

// Files that are in `cuts` end after so many bytes; with -1 they are not there. Whatever would
// change the disk fails.
class CutFiles final : public rocksdb::FileSystemWrapper {
 public:
  static constexpr int64_t kHidden = -1;
  using Cuts = std::map<std::string, int64_t>;  // by path

  explicit CutFiles(Cuts cuts)
      : FileSystemWrapper(rocksdb::FileSystem::Default()), cuts_(std::move(cuts)) {}
  const char* Name() const override { return "CutFiles"; }

  using Options = rocksdb::IOOptions;
  using Result = rocksdb::IOStatus;
  using Debug = rocksdb::IODebugContext;
  Result NewSequentialFile(const std::string& path, const rocksdb::FileOptions& options,
                           std::unique_ptr<rocksdb::FSSequentialFile>* file, Debug* debug) override;
  Result GetFileSize(const std::string& path, const Options& options, uint64_t* size,
                     Debug* debug) override;
  Result FileExists(const std::string& path, const Options& options, Debug* debug) override;
  Result GetChildren(const std::string& dir, const Options& options,
                     std::vector<std::string>* names, Debug* debug) override;

  Result NewWritableFile(const std::string&, const rocksdb::FileOptions&,
                         std::unique_ptr<rocksdb::FSWritableFile>*, Debug*) override;
  Result ReopenWritableFile(const std::string&, const rocksdb::FileOptions&,
                            std::unique_ptr<rocksdb::FSWritableFile>*, Debug*) override;
  Result ReuseWritableFile(const std::string&, const std::string&, const rocksdb::FileOptions&,
                           std::unique_ptr<rocksdb::FSWritableFile>*, Debug*) override;
  Result NewRandomRWFile(const std::string&, const rocksdb::FileOptions&,
                         std::unique_ptr<rocksdb::FSRandomRWFile>*, Debug*) override;
  Result DeleteFile(const std::string&, const Options&, Debug*) override;
  Result Truncate(const std::string&, size_t, const Options&, Debug*) override;
  Result CreateDir(const std::string&, const Options&, Debug*) override;
  Result CreateDirIfMissing(const std::string&, const Options&, Debug*) override;
  Result DeleteDir(const std::string&, const Options&, Debug*) override;
  Result RenameFile(const std::string&, const std::string&, const Options&, Debug*) override;
  Result LinkFile(const std::string&, const std::string&, const Options&, Debug*) override;

 private:
  // kHidden, a size, or INT64_MAX.
  int64_t CutOf(const std::string& path) const;

  const Cuts cuts_;
};

}  // namespace faultline::raft
