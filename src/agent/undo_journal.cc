#include "agent/undo_journal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <boost/crc.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "agent/v1/journal.pb.h"
#include "base/durable_file.h"
#include "base/log.h"

namespace faultline::agent {
namespace {

constexpr char kMagic[] = "FLUNDO1\n";
constexpr size_t kMagicBytes = 8;
constexpr size_t kHeaderBytes = 12;
constexpr size_t kCompactAfter = 1'000;

uint32_t Crc(const char* data, size_t size) {
  boost::crc_32_type crc;
  crc.process_bytes(data, size);
  return crc.checksum();
}

void PutWord(std::string* out, uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8) out->push_back(static_cast<char>(value >> shift));
}

uint32_t GetWord(const char* data) {
  uint32_t value = 0;
  for (int i = 3; i >= 0; --i) value = value << 8 | static_cast<unsigned char>(data[i]);
  return value;
}

std::string Frame(const ::agent::v1::JournalRecord& record) {
  const std::string payload = record.SerializeAsString();
  std::string frame;
  PutWord(&frame, static_cast<uint32_t>(payload.size()));
  PutWord(&frame, Crc(payload.data(), payload.size()));
  PutWord(&frame, Crc(frame.data(), frame.size()));
  return frame + payload;
}

// Payload of the whole and sound record at `offset`, or nothing.
std::optional<std::string> ReadFrame(const std::string& file, size_t offset) {
  if (file.size() - offset < kHeaderBytes) return std::nullopt;
  const char* header = file.data() + offset;
  if (Crc(header, 8) != GetWord(header + 8)) return std::nullopt;
  const size_t length = GetWord(header);
  if (file.size() - offset - kHeaderBytes < length) return std::nullopt;
  const char* payload = header + kHeaderBytes;
  if (Crc(payload, length) != GetWord(header + 4)) return std::nullopt;
  return std::string(payload, length);
}

bool AnyRecordAfter(const std::string& file, size_t offset) {
  for (size_t at = offset + 1; at + kHeaderBytes <= file.size(); ++at) {
    if (const auto payload = ReadFrame(file, at); payload && !payload->empty()) return true;
  }
  return false;
}

Status FileError(const std::string& path, const char* what, int error) {
  return MakeError(StatusCode::kInternal, "{}: {}: {}", path, what, ErrnoText(error));
}

Status WriteAll(int fd, const std::string& path, const std::string& data) {
  size_t done = 0;
  while (done < data.size()) {
    const ssize_t n = write(fd, data.data() + done, data.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return FileError(path, "cannot be written", errno);
    done += static_cast<size_t>(n);
  }
  if (fdatasync(fd) != 0) return FileError(path, "cannot be flushed", errno);
  return absl::OkStatus();
}

}  // namespace

std::string BootId() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

StatusOr<std::unique_ptr<UndoJournal>> UndoJournal::Open(const std::string& path,
                                                         const std::string& boot_id) {
  std::unique_ptr<UndoJournal> journal(new UndoJournal(path, boot_id));
  FL_RETURN_IF_ERROR(journal->Load());
  const Status compacted = journal->Compact();
  if (compacted.ok()) return journal;
  if (journal->file_bytes_ == 0 || !journal->Continue().ok()) return compacted;
  FL_LOG(warn, "{}", ToString(compacted.message()));
  return journal;
}

UndoJournal::~UndoJournal() {
  if (fd_ >= 0) close(fd_);
}

StatusOr<std::string> UndoJournal::ReadFile() const {
  const int fd = open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return std::string();
  if (fd < 0) return FileError(path_, "cannot be opened", errno);
  std::string file;
  std::array<char, 1 << 16> part;
  ssize_t bytes = 0;
  while ((bytes = read(fd, part.data(), part.size())) != 0) {
    if (bytes > 0) file.append(part.data(), static_cast<size_t>(bytes));
    if (bytes < 0 && errno != EINTR) break;
  }
  const int error = errno;
  close(fd);
  if (bytes < 0) return FileError(path_, "cannot be read", error);
  return file;
}

Status UndoJournal::UndoReadable(const std::string& path, const UndoFunction& undo,
                                 const std::string& boot_id) {
  UndoJournal journal(path, boot_id);
  FL_ASSIGN_OR_RETURN(const std::string file, journal.ReadFile());
  for (size_t at = 0; at + kHeaderBytes <= file.size();) {
    const auto payload = ReadFrame(file, at);
    const bool sound = payload && !payload->empty() && journal.Apply(*payload, at).ok();
    at += sound ? kHeaderBytes + payload->size() : 1;
  }
  return journal.UndoAll(undo);
}

Status UndoJournal::Load() {
  FL_ASSIGN_OR_RETURN(const std::string file, ReadFile());
  if (file.size() < kMagicBytes) return absl::OkStatus();
  if (file.compare(0, kMagicBytes, kMagic) != 0) {
    return MakeError(StatusCode::kDataLoss, "{}: not an undo journal, at offset 0", path_);
  }
  size_t offset = kMagicBytes;
  while (offset < file.size()) {
    const auto payload = ReadFrame(file, offset);
    if (!payload) {
      if (AnyRecordAfter(file, offset)) {
        return MakeError(StatusCode::kDataLoss, "{}: damaged at offset {}", path_, offset);
      }
      FL_LOG(warn, "{}: the last record, at offset {}, was torn by a crash and is discarded", path_,
             offset);
      break;
    }
    FL_RETURN_IF_ERROR(Apply(*payload, offset));
    offset += kHeaderBytes + payload->size();
  }
  file_bytes_ = offset;
  return absl::OkStatus();
}

Status UndoJournal::Continue() {
  if (fd_ >= 0) close(fd_);
  fd_ = open(path_.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd_ < 0) return FileError(path_, "cannot be opened", errno);
  if (ftruncate(fd_, static_cast<off_t>(file_bytes_)) != 0 || lseek(fd_, 0, SEEK_END) < 0) {
    return FileError(path_, "cannot be cut back", errno);
  }
  return absl::OkStatus();
}

Status UndoJournal::Apply(const std::string& payload, uint64_t offset) {
  ::agent::v1::JournalRecord record;
  if (!record.ParseFromString(payload)) {
    return MakeError(StatusCode::kDataLoss, "{}: no journal record at offset {}", path_, offset);
  }
  if (record.has_deed()) {
    const auto& deed = record.deed();
    next_handle_ = std::max(next_handle_, deed.handle() + 1);
    if (deed.boot_id() != boot_id_) return absl::OkStatus();
    deeds_[deed.handle()] = {deed.kind(), {deed.arguments().begin(), deed.arguments().end()}};
  } else {
    deeds_.erase(record.erased());
  }
  return absl::OkStatus();
}

std::string UndoJournal::DeedFrame(uint64_t handle, const Deed& deed) const {
  ::agent::v1::JournalRecord record;
  auto* out = record.mutable_deed();
  out->set_handle(handle);
  out->set_kind(deed.kind);
  for (const std::string& argument : deed.arguments) out->add_arguments(argument);
  out->set_boot_id(boot_id_);
  return Frame(record);
}

Status UndoJournal::Compact() {
  const std::string fresh_path = path_ + ".new";
  const int fd = open(fresh_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return FileError(fresh_path, "cannot be made", errno);
  std::string file(kMagic, kMagicBytes);
  for (const auto& [handle, deed] : deeds_) file += DeedFrame(handle, deed);
  Status written = WriteAll(fd, fresh_path, file);
  if (written.ok() && rename(fresh_path.c_str(), path_.c_str()) != 0) {
    written = FileError(path_, "cannot be replaced", errno);
  }
  if (!written.ok()) {
    close(fd);
    unlink(fresh_path.c_str());  // what it takes of a full disk is needed
    return written;
  }
  if (fd_ >= 0) close(fd_);
  fd_ = fd;
  file_bytes_ = file.size();
  dead_records_ = 0;
  return SyncFolder(std::filesystem::path(path_).parent_path());
}

Status UndoJournal::Append(const std::string& frame) {
  Status written = WriteAll(fd_, path_, frame);
  if (written.ok()) {
    file_bytes_ += frame.size();
    return written;
  }
  // Half a record must not stand before the next one.
  if (ftruncate(fd_, static_cast<off_t>(file_bytes_)) != 0 ||
      lseek(fd_, static_cast<off_t>(file_bytes_), SEEK_SET) < 0) {
    FL_LOG(error, "{}: cannot be cut back: {}", path_, ErrnoText(errno));
  }
  return written;
}

StatusOr<uint64_t> UndoJournal::Record(const std::string& kind,
                                       const std::vector<std::string>& arguments) {
  const uint64_t handle = next_handle_;
  Deed deed{kind, arguments};
  FL_RETURN_IF_ERROR(Append(DeedFrame(handle, deed)));
  ++next_handle_;
  deeds_.emplace(handle, std::move(deed));
  return handle;
}

void UndoJournal::Erase(uint64_t handle) {
  if (deeds_.erase(handle) == 0 || fd_ < 0) return;
  ::agent::v1::JournalRecord record;
  record.set_erased(handle);
  // A lost erasure is harmless: undoing again finds nothing to undo.
  if (const Status status = Append(Frame(record)); !status.ok()) {
    FL_LOG(warn, "{}", ToString(status.message()));
  }
  dead_records_ += 2;
  if (dead_records_ < kCompactAfter || dead_records_ < deeds_.size()) return;
  if (const Status status = Compact(); !status.ok()) {
    FL_LOG(warn, "{}", ToString(status.message()));
  }
}

}  // namespace faultline::agent
