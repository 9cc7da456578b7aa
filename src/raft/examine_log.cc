#include "raft/examine_log.h"

#include <rocksdb/db.h>
#include <rocksdb/env.h>

#include <algorithm>
#include <filesystem>

#include "raft/log_codec.h"
#include "raft/rocks.h"

namespace faultline::raft {
namespace {

class LogExaminer {
 public:
  LogExaminer(const CutFiles::Cuts& cuts, const SnapshotFiles& snapshots, Examination* found)
      : snapshots_(snapshots),
        found_(*found),
        files_damaged_(!cuts.empty()),
        files_(std::make_shared<CutFiles>(cuts)),
        env_(rocksdb::NewCompositeEnv(files_)) {}

  Status Run() {
    FL_RETURN_IF_ERROR(Open());
    if (db_) {
      CheckNothingLost();
      ReadRecords();
      ReadEntries();
      CheckTerms();
    }
    ChooseSnapshot();
    Join();
    if (!torn_.empty()) {
      const bool starts = found_.damages.empty();
      found_.notes.push_back(torn_ + (starts ? ", and is discarded at the next start" : ""));
    }
    return absl::OkStatus();
  }

 private:
  void Damaged(std::string what) {
    found_.damages.push_back({found_.dir, std::nullopt, std::move(what)});
  }
  void Cut(std::string what) { found_.cuts.push_back(std::move(what)); }

  rocksdb::Status TryOpen(bool files_are_all) {
    rocksdb::Options options = LogDbOptions(false, env_.get());
    options.track_and_verify_wals_in_manifest = files_are_all;
    rocksdb::DB* opened = nullptr;
    const rocksdb::Status status = rocksdb::DB::OpenForReadOnly(options, found_.dir, &opened);
    db_.reset(opened);
    return status;
  }

  // Leaves db_ empty when nothing of the log can be read.
  Status Open() {
    rocksdb::Status status = TryOpen(!files_damaged_);
    if (!status.ok()) {
      const Status error = FromRocks(found_.dir, status);
      if (error.code() == StatusCode::kFailedPrecondition) return error;
      if (found_.damages.empty()) Damaged(status.ToString());
      status = TryOpen(/*files_are_all=*/false);
    }
    if (!status.ok()) {
      Cut(fmt::format("all that the log holds beside snapshots, term and vote among it: {}",
                      status.ToString()));
    }
    return absl::OkStatus();
  }

  // As LogStore::Open has it.
  void CheckNothingLost() {
    const uint64_t end = db_->GetLatestSequenceNumber();
    const std::optional<Damage>& torn = found_.torn;
    if (end >= found_.lock->last()) {
      if (!torn) return;
      torn_ = fmt::format(
          "{} ends in a torn record at offset {}: it was being written when the node ended",
          torn->path, *torn->offset);
      return;
    }
    const std::string what =
        fmt::format("the log ends at write {}, and {} were acknowledged", end, found_.lock->last());
    if (found_.damages.empty() && torn) {
      found_.damages.push_back(*torn);
      found_.damages.back().what += " that had been acknowledged";
    } else if (found_.damages.empty()) {
      Damaged(what + ": files are missing or were cut off");
    }
    Cut("acknowledged writes: " + what);
  }

  void ReadRecords() {
    std::string value;
    rocksdb::Status status = db_->Get({}, kHardStateKey, &value);
    if (status.ok()) {
      const auto state = DecodeHardState(value);
      if (state.ok()) found_.log.hard_state = *state;
      if (!state.ok()) Damaged(ToString(state.status().message()));
    } else if (!status.IsNotFound()) {
      Damaged("term and vote cannot be read: " + status.ToString());
    }
    status = db_->Get({}, kSnapshotKey, &value);
    if (status.ok()) {
      auto record = DecodeSnapshot(value);
      if (record.ok()) record_ = *std::move(record);
      if (!record.ok()) Damaged(ToString(record.status().message()));
    } else if (!status.IsNotFound()) {
      Damaged("the record of the snapshot cannot be read: " + status.ToString());
    }
  }

  // Up to the first that is missing or damaged.
  void ReadEntries() {
    rocksdb::ReadOptions options;
    options.fill_cache = false;
    const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(options));
    LoadedLog& log = found_.log;
    uint64_t next = 0;
    for (it->Seek(std::string(1, kEntryPrefix)); it->Valid(); it->Next()) {
      const std::string_view key = View(it->key());
      if (key.empty() || key.front() != kEntryPrefix) break;
      const uint64_t index = EntryIndex(key);
      if (log.entries.empty()) next = log.first_index = index;
      if (index != next) return EntriesEnd(next, "is missing");
      auto entry = DecodeEntry(key, View(it->value()));
      if (!entry.ok()) return EntriesEnd(next, "does not match its checksum");
      if (!log.entries.empty() && (*entry)->term() < log.entries.back()->term()) {
        return EntriesEnd(next, "has a lower term than the one before");
      }
      log.entries.push_back(*std::move(entry));
      ++next;
    }
    if (!it->status().ok()) EntriesEnd(next, "cannot be read: " + it->status().ToString());
  }

  void EntriesEnd(uint64_t index, const std::string& why) {
    Damaged(fmt::format("entry {} {}", index, why));
    Cut(fmt::format("entries from {} on: entry {} {}", index, index, why));
  }

  void CheckTerms() {
    const LoadedLog& log = found_.log;
    if (log.entries.empty()) return;
    if (log.hard_state.term == 0) {
      if (found_.damages.empty()) Damaged("there are entries, but no term");
      Cut("term and vote");
    } else if (log.entries.back()->term() > log.hard_state.term) {
      Damaged(
          fmt::format("entry {} is of a later term than the newest known", found_.last_index()));
    }
  }

  // The one that the log names. If it is not whole (or the log cannot be read), the newest whole
  // one: every file there is a state that had been committed.
  void ChooseSnapshot() {
    const SnapshotFile* chosen = nullptr;
    if (record_) {
      const auto named = snapshots_.find(record_->file());
      if (named == snapshots_.end()) {
        MissingSnapshot({found_.dir + "/" + kSnapshotsFolder + "/" + record_->file(), std::nullopt,
                         "is missing"});
      } else if (!named->second.facts.ok()) {
        MissingSnapshot(named->second.damage);
      } else if (named->second.facts->sum !=
                 SnapshotSum{record_->size_bytes(), record_->crc32c()}) {
        MissingSnapshot({named->second.path, std::nullopt, "is another one than the log names"});
      } else {
        chosen = &named->second;
      }
    }
    const bool any = chosen == nullptr && (record_ || found_.log.first_index > 1 || !db_);
    for (const auto& [name, file] : snapshots_) {
      if (record_ && name == record_->file()) continue;
      if (!file.facts.ok()) {
        found_.notes.push_back(fmt::format(
            "{} is not whole, and nothing rests on it: the next start removes it", file.path));
        continue;
      }
      if (!any) {
        found_.notes.push_back(
            fmt::format("{} is not the newest: the next start removes it", file.path));
      } else if (chosen == nullptr || LastIndex(file) > LastIndex(*chosen)) {
        chosen = &file;
      }
    }
    if (chosen != nullptr) Take(*chosen);
  }

  void MissingSnapshot(const Damage& damage) {
    found_.damages.push_back(damage);
    Cut(fmt::format("the snapshot at {}: {} {}", record_->metadata().last_index(), damage.path,
                    damage.offset ? "is damaged" : damage.what));
  }

  static uint64_t LastIndex(const SnapshotFile& file) {
    return file.facts->header.metadata().last_index();
  }

  void Take(const SnapshotFile& file) {
    pb::SnapshotRecord record;
    *record.mutable_metadata() = file.facts->header.metadata();
    record.set_file(std::filesystem::path(file.path).filename());
    record.set_size_bytes(file.facts->sum.size_bytes);
    record.set_crc32c(file.facts->sum.crc32c);
    SnapshotFolder folder(found_.dir + "/" + kSnapshotsFolder);
    auto snapshot = folder.Open(record);
    if (!snapshot.ok()) return Damaged(ToString(snapshot.status().message()));
    found_.log.snapshot = *std::move(snapshot);
    found_.snapshot = *file.facts;
  }

  // Entries count only where they go on from the snapshot, or from the beginning.
  void Join() {
    LoadedLog& log = found_.log;
    const uint64_t snapshot = log.snapshot ? log.snapshot->metadata.last_index() : 0;
    if (log.entries.empty()) {
      log.first_index = snapshot + 1;
      return;
    }
    if (log.first_index > snapshot + 1) {
      const std::string gap = fmt::format("entries {} to {}: those before, from {} on, are missing",
                                          log.first_index, found_.last_index(), snapshot + 1);
      if (found_.damages.empty()) Damaged(fmt::format("entry {} is missing", snapshot + 1));
      return DropEntries(gap, snapshot);
    }
    if (found_.last_index() < snapshot) {
      if (found_.damages.empty())
        Damaged(fmt::format("entry {} is missing", found_.last_index() + 1));
      return DropEntries("", snapshot);
    }
    if (snapshot < log.first_index) return;
    const EntryPtr& at = log.entries[snapshot - log.first_index];
    if (at->term() == log.snapshot->metadata.last_term()) return;
    const std::string other =
        fmt::format("entries {} to {}: entry {} is of another term than the snapshot there",
                    log.first_index, found_.last_index(), snapshot);
    if (found_.damages.empty()) Damaged(other);
    DropEntries(other, snapshot);
  }

  // With a reason for each that is missed.
  void DropEntries(const std::string& missed, uint64_t snapshot) {
    if (!missed.empty()) Cut(missed);
    found_.log.entries.clear();
    found_.log.first_index = snapshot + 1;
  }

  const SnapshotFiles& snapshots_;
  Examination& found_;
  const bool files_damaged_;
  const std::shared_ptr<CutFiles> files_;
  const std::unique_ptr<rocksdb::Env> env_;  // outlives db_
  std::unique_ptr<rocksdb::DB> db_;
  std::optional<pb::SnapshotRecord> record_;
  std::string torn_;  // a note: a torn record was not acknowledged
};

}  // namespace

Status ExamineLog(const CutFiles::Cuts& cuts, const SnapshotFiles& snapshots, Examination* found) {
  return LogExaminer(cuts, snapshots, found).Run();
}

}  // namespace faultline::raft
