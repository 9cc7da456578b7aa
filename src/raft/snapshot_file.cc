#include "raft/snapshot_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/log.h"

namespace faultline::raft {
namespace {

namespace fs = std::filesystem;

constexpr size_t kReadBytes = 256 << 10;
constexpr std::string_view kSuffix = ".snapshot", kPartSuffix = ".part", kTempSuffix = ".tmp";

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { close(fd_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};
using DescriptorPtr = std::shared_ptr<const Descriptor>;

StatusOr<DescriptorPtr> OpenToRead(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return IoError("open", path, errno);
  return std::make_shared<const Descriptor>(fd);
}

class FileSource final : public ByteSource {
 public:
  FileSource(DescriptorPtr file, std::string path, uint64_t offset)
      : file_(std::move(file)), path_(std::move(path)), offset_(offset), buffer_(kReadBytes) {}

  StatusOr<std::string_view> Next() override {
    for (;;) {
      const ssize_t got =
          pread(file_->get(), buffer_.data(), buffer_.size(), static_cast<off_t>(offset_));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return IoError("read", path_, errno);
      offset_ += static_cast<uint64_t>(got);
      return std::string_view(buffer_.data(), static_cast<size_t>(got));
    }
  }

 private:
  const DescriptorPtr file_;
  const std::string path_;
  uint64_t offset_;
  std::vector<char> buffer_;
};

// Holds the file open: it can be read until the end, whoever removes its name.
class FileBytes final : public SnapshotBytes {
 public:
  FileBytes(DescriptorPtr file, std::string path)
      : file_(std::move(file)), path_(std::move(path)) {}
  ~FileBytes() override {
    if (!kept_) unlink(path_.c_str());
  }

  StatusOr<std::unique_ptr<ByteSource>> Read(uint64_t offset) const override {
    return std::make_unique<FileSource>(file_, path_, offset);
  }
  const std::string& name() const override { return path_; }
  void SetKept(bool kept) const { kept_ = kept; }

 private:
  const DescriptorPtr file_;
  const std::string path_;
  mutable std::atomic<bool> kept_ = false;
};

StatusOr<SnapshotPtr> OpenSnapshot(const pb::SnapshotMetadata& metadata, const SnapshotSum& sum,
                                   const std::string& path) {
  FL_ASSIGN_OR_RETURN(DescriptorPtr file, OpenToRead(path));
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->metadata = metadata;
  snapshot->sum = sum;
  snapshot->bytes = std::make_shared<const FileBytes>(std::move(file), path);
  return SnapshotPtr(std::move(snapshot));
}

}  // namespace

StatusOr<std::unique_ptr<ByteSource>> ReadFileFrom(const std::string& path, uint64_t offset) {
  FL_ASSIGN_OR_RETURN(DescriptorPtr file, OpenToRead(path));
  return std::make_unique<FileSource>(std::move(file), path, offset);
}

StatusOr<SnapshotFacts> CheckSnapshotFile(const std::string& path) {
  FL_ASSIGN_OR_RETURN(auto bytes, ReadFileFrom(path, 0));
  FL_ASSIGN_OR_RETURN(const auto decoder, SnapshotDecoder::Open(std::move(bytes), path));
  for (;;) {
    FL_ASSIGN_OR_RETURN(const std::string_view piece, decoder->Next());
    if (piece.empty()) break;
  }
  return SnapshotFacts{decoder->header(), decoder->sum(), decoder->content_bytes()};
}

StatusOr<SnapshotSum> WriteSnapshotFile(const std::string& path, const pb::SnapshotHeader& header,
                                        const std::function<Status(const ByteSink&)>& write) {
  const std::string temporary = path + std::string(kTempSuffix);
  const auto run = [&]() -> StatusOr<SnapshotSum> {
    DurableFile file;
    FL_RETURN_IF_ERROR(file.Open(temporary, 0));
    SnapshotEncoder encoder([&file](std::string_view bytes) { return file.Append(bytes); });
    FL_RETURN_IF_ERROR(encoder.Begin(header));
    FL_RETURN_IF_ERROR(
        write([&encoder](std::string_view content) { return encoder.Append(content); }));
    FL_ASSIGN_OR_RETURN(const SnapshotSum sum, encoder.Finish());
    FL_RETURN_IF_ERROR(file.Publish(path));
    return sum;
  };
  auto sum = run();
  if (!sum.ok()) unlink(temporary.c_str());
  return sum;
}

std::string SnapshotFolder::FreshPath(const pb::SnapshotMetadata& metadata) {
  const std::lock_guard lock(mutex_);
  std::error_code ignored;
  fs::create_directories(path_, ignored);
  for (;;) {
    const std::string path = fmt::format("{}/{:020}-{}-{}{}", path_, metadata.last_index(),
                                         metadata.last_term(), next_++, kSuffix);
    if (!fs::exists(path, ignored)) return path;
  }
}

StatusOr<SnapshotPtr> SnapshotFolder::Write(const pb::SnapshotMetadata& metadata,
                                            const StateImage& image) {
  pb::SnapshotHeader header;
  *header.mutable_metadata() = metadata;
  header.set_created_unix_ms(UnixNowMs());
  return Write(header, image);
}

StatusOr<SnapshotPtr> SnapshotFolder::Write(const pb::SnapshotHeader& header,
                                            const StateImage& image) {
  const std::string path = FreshPath(header.metadata());
  FL_ASSIGN_OR_RETURN(
      const SnapshotSum sum,
      WriteSnapshotFile(path, header, [&](const ByteSink& sink) { return image.Write(sink); }));
  return OpenSnapshot(header.metadata(), sum, path);
}

StatusOr<SnapshotPtr> SnapshotFolder::Open(const pb::SnapshotRecord& record) {
  const std::string path = path_ + "/" + record.file();
  std::error_code error;
  const uintmax_t size = fs::file_size(path, error);
  if (error) return MakeError(StatusCode::kDataLoss, "{} is missing: {}", path, error.message());
  if (size != record.size_bytes()) {
    return MakeError(StatusCode::kDataLoss, "{} is damaged at offset {}: it has {} bytes, not {}",
                     path, std::min<uintmax_t>(size, record.size_bytes()), size,
                     record.size_bytes());
  }
  FL_ASSIGN_OR_RETURN(
      SnapshotPtr snapshot,
      OpenSnapshot(record.metadata(), {record.size_bytes(), record.crc32c()}, path));
  SetKept(*snapshot, true);
  return snapshot;
}

std::string SnapshotFolder::PartPath(const Snapshot& wanted) const {
  return fmt::format("{}/{:020}-{}-{:08x}{}", path_, wanted.metadata.last_index(),
                     wanted.sum.size_bytes, wanted.sum.crc32c, kPartSuffix);
}

Status SnapshotFolder::OpenPart(const SnapshotPtr& wanted, DurableFile* file,
                                uint64_t* size_bytes) {
  std::error_code ignored;
  fs::create_directories(path_, ignored);
  const std::string path = PartPath(*wanted);
  for (const auto& other : fs::directory_iterator(path_, ignored)) {
    if (other.path().extension() == kPartSuffix && other.path() != path) {
      fs::remove(other.path(), ignored);
    }
  }
  const uintmax_t size = fs::file_size(path, ignored);
  const bool usable = !ignored && size <= wanted->sum.size_bytes;
  *size_bytes = usable ? static_cast<uint64_t>(size) : 0;
  return file->Open(path, *size_bytes);
}

StatusOr<SnapshotPtr> SnapshotFolder::FinishPart(const SnapshotPtr& wanted, DurableFile* file) {
  const std::string path = FreshPath(wanted->metadata);
  FL_RETURN_IF_ERROR(file->Publish(path));
  return OpenSnapshot(wanted->metadata, wanted->sum, path);
}

void SnapshotFolder::RemovePart(const SnapshotPtr& wanted) {
  std::error_code ignored;
  fs::remove(PartPath(*wanted), ignored);
}

void SnapshotFolder::RemoveOthers(const pb::SnapshotRecord* record) {
  std::error_code ignored;
  for (const auto& file : fs::directory_iterator(path_, ignored)) {
    const fs::path& path = file.path();
    if (record != nullptr && path.filename() == record->file()) continue;
    if (path.extension() == kSuffix || path.extension() == kTempSuffix) fs::remove(path, ignored);
  }
}

void SnapshotFolder::SetKept(const Snapshot& snapshot, bool kept) {
  static_cast<const FileBytes&>(*snapshot.bytes).SetKept(kept);
}

std::string SnapshotFolder::NameOf(const Snapshot& snapshot) {
  return fs::path(snapshot.bytes->name()).filename();
}

}  // namespace faultline::raft
