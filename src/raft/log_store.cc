#include "raft/log_store.h"

#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>
#include <sys/statvfs.h>

#include <filesystem>
#include <optional>
#include <utility>

#include "base/log.h"
#include "raft/log_codec.h"
#include "raft/log_scan.h"
#include "raft/rocks.h"
#include "raft/watermark.h"

namespace faultline::raft {
namespace {

namespace fs = std::filesystem;

// Room that a log needs to be opened again after the disk was full: for the tables that its
// write-ahead log becomes, new files of each kind, and some time to go on.
constexpr uint64_t kRoomBytes = 3 * kWriteBufferBytes;

// Of an operation on an open log.
Status FromWrite(const std::string& dir, const rocksdb::Status& status) {
  if (status.IsNoSpace() || status.subcode() == rocksdb::Status::kNoSpace) {
    return MakeError(StatusCode::kResourceExhausted, "the disk of {} is full ({})", dir,
                     status.ToString());
  }
  if (status.IsCorruption()) return FromRocks(dir, status);
  return MakeError(StatusCode::kUnavailable, "the disk of {} fails: {}", dir, status.ToString());
}

// A write-ahead log that ends in a torn record, which begins at `offset`.
struct TornLog {
  std::string path;
  uint64_t offset = 0;
};

// Looks through all append-only files. With nothing, or the newest write-ahead log that is torn.
StatusOr<std::optional<TornLog>> ScanFiles(const std::string& dir) {
  std::error_code error;
  std::optional<TornLog> torn;
  for (const auto& file : fs::directory_iterator(dir, error)) {
    const std::string name = file.path().filename();
    const bool is_wal = file.path().extension() == ".log";
    if (!is_wal && name.rfind("MANIFEST-", 0) != 0) continue;
    FL_ASSIGN_OR_RETURN(const LogScan scan, ScanLogFile(file.path()));
    if (!scan.torn) continue;
    if (!is_wal) {
      FL_LOG(warn, "{} ends in a torn record at offset {}: that record is discarded",
             file.path().string(), scan.torn_offset);
    } else if (!torn || torn->path < file.path()) {
      torn = {file.path(), scan.torn_offset};
    }
  }
  return torn;
}

// A file that only a log has that has been written to; empty without one. A first start that is
// killed leaves others at the most: a MANIFEST, and a write-ahead log that is empty.
std::string FindWritten(const std::string& dir) {
  std::error_code error;
  for (const auto& file : fs::directory_iterator(dir, error)) {
    const auto extension = file.path().extension();
    const bool log = extension == ".log" && file.file_size(error) > 0;
    if (log || extension == ".sst") return file.path();
  }
  for (const auto& file : fs::directory_iterator(dir + "/" + kSnapshotsFolder, error)) {
    if (file.path().extension() == ".snapshot") return file.path();
  }
  return "";
}

pb::SnapshotRecord RecordOf(const Snapshot& snapshot) {
  pb::SnapshotRecord record;
  *record.mutable_metadata() = snapshot.metadata;
  record.set_file(SnapshotFolder::NameOf(snapshot));
  record.set_size_bytes(snapshot.sum.size_bytes);
  record.set_crc32c(snapshot.sum.crc32c);
  return record;
}

}  // namespace

struct LogStore::Impl {
  Impl(std::string data_dir, rocksdb::Env* rocks_env)
      : dir(std::move(data_dir)), env(rocks_env), snapshots(dir + "/" + kSnapshotsFolder) {}

  const std::string dir;
  rocksdb::Env* const env;
  Watermark watermark;
  std::unique_ptr<rocksdb::DB> db;
  SnapshotFolder snapshots;
  SnapshotPtr kept;  // the newest durable one
  LoadedLog loaded;

  Status Open();
  Status OpenDb(bool exists);
  Status CheckTorn(const TornLog& torn) const;
  Status CheckNothingLost(bool exists) const;
  Status Load();
  Status LoadEntry(std::string_view key, std::string_view value);
  Status CheckLoaded() const;
  Status Lost(uint64_t index, std::string_view what) const {
    return MakeError(StatusCode::kDataLoss, "the log in {} is damaged: entry {} {}", dir, index,
                     what);
  }
};

Status LogStore::Impl::Open() {
  std::error_code error;
  fs::create_directories(dir, error);
  if (error) {
    return MakeError(StatusCode::kFailedPrecondition, "cannot make the data directory {}: {}", dir,
                     error.message());
  }
  FL_RETURN_IF_ERROR(watermark.Open(dir + "/" + kWatermarkFile));
  FL_RETURN_IF_ERROR(OpenDb(watermark.existed()));
  FL_RETURN_IF_ERROR(Load());
  FL_RETURN_IF_ERROR(CheckLoaded());
  return watermark.Reset(db->GetLatestSequenceNumber());
}

Status LogStore::Impl::OpenDb(bool exists) {
  std::error_code error;
  FL_ASSIGN_OR_RETURN(const auto torn, ScanFiles(dir));
  const bool current = fs::exists(dir + "/CURRENT", error);
  if (exists && !current) return MakeError(StatusCode::kDataLoss, "{}/CURRENT is missing", dir);
  const std::string written = exists ? "" : FindWritten(dir);
  if (!written.empty()) {
    return MakeError(StatusCode::kDataLoss, "{}/{} is missing{}, and {} is there", dir,
                     kWatermarkFile, current ? "" : ", as is CURRENT", written);
  }
  if (exists && torn) FL_RETURN_IF_ERROR(CheckTorn(*torn));
  rocksdb::DB* opened = nullptr;
  const auto status = rocksdb::DB::Open(LogDbOptions(!exists, env), dir, &opened);
  db.reset(opened);
  if (!status.ok()) return FromRocks(dir, status);
  return CheckNothingLost(exists);
}

// Before RocksDB removes the file: what is refused stays as it is, to be looked at.
Status LogStore::Impl::CheckTorn(const TornLog& torn) const {
  rocksdb::DB* opened = nullptr;
  const auto status = rocksdb::DB::OpenForReadOnly(LogDbOptions(false, env), dir, &opened);
  const std::unique_ptr<rocksdb::DB> reader(opened);
  if (!status.ok()) return FromRocks(dir, status);
  const uint64_t found = reader->GetLatestSequenceNumber();
  if (found < watermark.last()) {
    return MakeError(StatusCode::kDataLoss,
                     "{} is damaged at offset {}: the record there is torn, and had been "
                     "acknowledged (the log ends at write {}, but {} were)",
                     torn.path, torn.offset, found, watermark.last());
  }
  FL_LOG(warn, "{} ends in a torn record at offset {}: it was not acknowledged, and is discarded",
         torn.path, torn.offset);
  return absl::OkStatus();
}

Status LogStore::Impl::CheckNothingLost(bool exists) const {
  const uint64_t found = db->GetLatestSequenceNumber();
  if (!exists) {
    if (found == 0) return absl::OkStatus();
    return MakeError(StatusCode::kDataLoss, "{}/{} is missing", dir, kWatermarkFile);
  }
  if (found >= watermark.last()) return absl::OkStatus();
  return MakeError(StatusCode::kDataLoss,
                   "the log in {} ends at write {}, but {} were acknowledged: files are missing or "
                   "were cut off",
                   dir, found, watermark.last());
}

Status LogStore::Impl::LoadEntry(std::string_view key, std::string_view value) {
  const uint64_t index = EntryIndex(key);
  auto entry = DecodeEntry(key, value);
  if (!entry.ok()) return Lost(index, "does not match its checksum");
  if (loaded.entries.empty()) loaded.first_index = index;
  const uint64_t expected = loaded.first_index + loaded.entries.size();
  if (index != expected) return Lost(expected, "is missing");
  if (!loaded.entries.empty() && (*entry)->term() < loaded.entries.back()->term()) {
    return Lost(index, "has a lower term than the one before");
  }
  loaded.entries.push_back(std::move(*entry));
  return absl::OkStatus();
}

Status LogStore::Impl::Load() {
  rocksdb::ReadOptions options;
  options.fill_cache = false;
  const std::unique_ptr<rocksdb::Iterator> it(db->NewIterator(options));
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    const std::string_view key = View(it->key());
    if (key == kHardStateKey) {
      FL_ASSIGN_OR_RETURN(loaded.hard_state, DecodeHardState(View(it->value())));
    } else if (key == kSnapshotKey) {
      FL_ASSIGN_OR_RETURN(const pb::SnapshotRecord record, DecodeSnapshot(View(it->value())));
      snapshots.RemoveOthers(&record);
      FL_ASSIGN_OR_RETURN(loaded.snapshot, snapshots.Open(record));
    } else if (key == kInlineSnapshotKey) {
      return MakeError(StatusCode::kFailedPrecondition,
                       "the log in {} holds a snapshot of the first format, which this version "
                       "does not read: remove the directory and let the node join anew",
                       dir);
    } else if (key.front() == kEntryPrefix) {
      FL_RETURN_IF_ERROR(LoadEntry(key, View(it->value())));
    }
  }
  if (!it->status().ok()) return FromRocks(dir, it->status());
  if (!loaded.snapshot) snapshots.RemoveOthers(nullptr);
  kept = loaded.snapshot;
  if (loaded.entries.empty() && loaded.snapshot) {
    loaded.first_index = loaded.snapshot->metadata.last_index() + 1;
  }
  return absl::OkStatus();
}

Status LogStore::Impl::CheckLoaded() const {
  const uint64_t snapshot = loaded.snapshot ? loaded.snapshot->metadata.last_index() : 0;
  const uint64_t last = loaded.first_index + loaded.entries.size() - 1;
  if (loaded.first_index > snapshot + 1) return Lost(snapshot + 1, "is missing");
  if (last < snapshot) return Lost(last + 1, "is missing");
  if (loaded.hard_state.term == 0 && last > 0) {
    return MakeError(StatusCode::kDataLoss, "the log in {} has entries but no term", dir);
  }
  if (!loaded.entries.empty() && loaded.entries.back()->term() > loaded.hard_state.term) {
    return Lost(last, "is of a later term than the newest known");
  }
  return absl::OkStatus();
}

LogStore::LogStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LogStore::~LogStore() = default;

StatusOr<std::unique_ptr<LogStore>> LogStore::Open(const std::string& dir, rocksdb::Env* env) {
  auto impl = std::make_unique<Impl>(dir, env);
  FL_RETURN_IF_ERROR(impl->Open());
  return std::unique_ptr<LogStore>(new LogStore(std::move(impl)));
}

LoadedLog LogStore::TakeLoaded() { return std::exchange(impl_->loaded, {}); }

Status LogStore::Write(const LogWrite& write) {
  rocksdb::WriteBatch batch;
  const auto remove = [&batch](uint64_t from, uint64_t to) {
    return batch.DeleteRange(EntryKey(from), EntryKey(to));
  };
  rocksdb::Status status;
  if (write.hard_state) status = batch.Put(kHardStateKey, EncodeHardState(*write.hard_state));
  if (status.ok() && write.clear_log) status = remove(0, UINT64_MAX);
  if (status.ok() && write.remove_from > 0) status = remove(write.remove_from, UINT64_MAX);
  uint64_t index = write.first_index;
  for (const EntryPtr& entry : write.entries) {
    const std::string key = EntryKey(index++);
    if (status.ok()) status = batch.Put(key, EncodeEntry(key, *entry));
  }
  if (status.ok() && write.snapshot) {
    SnapshotFolder::SetKept(*write.snapshot, true);
    status = batch.Put(kSnapshotKey, EncodeSnapshot(RecordOf(*write.snapshot)));
  }
  if (status.ok() && write.trim_to > 0) status = remove(0, write.trim_to + 1);
  rocksdb::WriteOptions options;
  options.sync = true;
  if (!impl_->db) return MakeError(StatusCode::kUnavailable, "the log in {} is closed", impl_->dir);
  if (status.ok()) status = impl_->db->Write(options, &batch);
  if (!status.ok()) return FromWrite(impl_->dir, status);
  FL_RETURN_IF_ERROR(impl_->watermark.Advance(impl_->db->GetLatestSequenceNumber()));
  if (write.snapshot && impl_->kept != write.snapshot) {
    if (impl_->kept) SnapshotFolder::SetKept(*impl_->kept, false);
    impl_->kept = write.snapshot;
  }
  return absl::OkStatus();
}

Status LogStore::Recover() {
  impl_->db.reset();
  struct statvfs disk{};
  if (statvfs(impl_->dir.c_str(), &disk) == 0 && disk.f_bavail * disk.f_frsize < kRoomBytes) {
    return MakeError(StatusCode::kResourceExhausted, "the disk of {} is full: {} bytes are free",
                     impl_->dir, disk.f_bavail * disk.f_frsize);
  }
  const Status status = impl_->OpenDb(/*exists=*/true);
  if (!status.ok()) {
    impl_->db.reset();
    if (status.code() == StatusCode::kDataLoss) return status;
    return MakeError(StatusCode::kUnavailable, "{}", ToString(status.message()));
  }
  return impl_->watermark.Reset(impl_->db->GetLatestSequenceNumber());
}

SnapshotFolder& LogStore::snapshots() { return impl_->snapshots; }

}  // namespace faultline::raft
