#include "raft/watermark.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "raft/crc32c.h"

namespace faultline::raft {
namespace {

// One sector is written or not, never in part.
struct Record {
  char magic[8];
  uint64_t last;
  uint64_t again;  // the same; not read
  uint32_t crc;    // of all before
  uint32_t zero;
};
constexpr char kMagic[8] = {'F', 'L', 'R', 'A', 'F', 'T', 'W', '1'};

uint32_t CrcOf(const Record& record) {
  return Crc32c({reinterpret_cast<const char*>(&record), offsetof(Record, crc)});
}

}  // namespace

Watermark::~Watermark() {
  if (fd_ >= 0) close(fd_);
}

Status Watermark::Open(const std::string& path) {
  path_ = path;
  fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd_ < 0) {
    return MakeError(StatusCode::kFailedPrecondition, "cannot open {}: {}", path, ErrnoText(errno));
  }
  FL_RETURN_IF_ERROR(Lock());
  existed_ = lseek(fd_, 0, SEEK_END) > 0;
  return existed_ ? Read() : absl::OkStatus();
}

Status Watermark::OpenToRead(const std::string& path) {
  path_ = path;
  fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd_ < 0 && errno == ENOENT) return absl::OkStatus();
  if (fd_ < 0) {
    return MakeError(StatusCode::kFailedPrecondition, "cannot open {}: {}", path, ErrnoText(errno));
  }
  FL_RETURN_IF_ERROR(Lock());
  existed_ = true;
  return Read();
}

Status Watermark::Lock() {
  if (flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    return MakeError(StatusCode::kFailedPrecondition,
                     "another process is using the data directory (it holds {})", path_);
  }
  return absl::OkStatus();
}

Status Watermark::Read() {
  Record record{};
  if (pread(fd_, &record, sizeof record, 0) != static_cast<ssize_t>(sizeof record) ||
      std::memcmp(record.magic, kMagic, sizeof kMagic) != 0 || record.crc != CrcOf(record)) {
    return MakeError(StatusCode::kDataLoss, "{} is damaged at offset 0", path_);
  }
  last_ = record.last;
  return absl::OkStatus();
}

Status Watermark::Write() {
  Record record{};
  std::memcpy(record.magic, kMagic, sizeof kMagic);
  record.last = record.again = last_;
  record.crc = CrcOf(record);
  if (pwrite(fd_, &record, sizeof record, 0) != static_cast<ssize_t>(sizeof record)) {
    return MakeError(StatusCode::kUnavailable, "cannot write {}: {}", path_, ErrnoText(errno));
  }
  return absl::OkStatus();
}

Status Watermark::Reset(uint64_t sequence) {
  last_ = sequence;
  FL_RETURN_IF_ERROR(Write());
  if (fsync(fd_) != 0) {
    return MakeError(StatusCode::kUnavailable, "cannot sync {}: {}", path_, ErrnoText(errno));
  }
  return absl::OkStatus();
}

Status Watermark::Advance(uint64_t sequence) {
  last_ = sequence;
  return Write();
}

}  // namespace faultline::raft
