#include "raft/examine.h"

#include <fcntl.h>
#include <rocksdb/sst_file_reader.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "raft/cut_files.h"
#include "raft/examine_log.h"
#include "raft/log_scan.h"
#include "raft/rocks.h"

namespace faultline::raft {
namespace {

namespace fs = std::filesystem;

// The number behind "offset " in an error's text.
std::optional<uint64_t> OffsetIn(std::string_view text) {
  constexpr std::string_view kWord = "offset ";
  const size_t at = text.find(kWord);
  if (at == std::string_view::npos) return std::nullopt;
  uint64_t offset = 0;
  const std::string_view digits = text.substr(at + kWord.size());
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), offset);
  return error == std::errc() ? std::optional(offset) : std::nullopt;
}

// FAILED_PRECONDITION when a process holds RocksDB's own lock: one whose ACKNOWLEDGED is gone.
Status CheckRocksLock(const std::string& dir) {
  const int fd = open((dir + "/LOCK").c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return absl::OkStatus();
  struct flock lock{};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  const bool held = fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
  close(fd);
  if (!held) return absl::OkStatus();
  return MakeError(StatusCode::kFailedPrecondition,
                   "another process is using the data directory {} (process {})", dir, lock.l_pid);
}

// What an error says behind "... at offset N: ".
std::string WhatOf(const std::string& text) {
  const size_t at = text.find(": ", text.find("at offset "));
  return at == std::string::npos ? text : text.substr(at + 2);
}

// The files of the directory whose names the predicate likes, by the number in them.
template <typename Likes>
std::vector<fs::path> FilesOf(const std::string& dir, const Likes& likes) {
  std::vector<fs::path> files;
  std::error_code ignored;
  for (const auto& file : fs::directory_iterator(dir, ignored)) {
    if (file.is_regular_file(ignored) && likes(file.path())) files.push_back(file.path());
  }
  std::sort(files.begin(), files.end(), [](const fs::path& a, const fs::path& b) {
    const std::string left = a.filename(), right = b.filename();
    return std::pair(left.size(), left) < std::pair(right.size(), right);
  });
  return files;
}

class Examiner {
 public:
  explicit Examiner(std::string dir) { found_.dir = std::move(dir); }

  StatusOr<Examination> Run() {
    FL_RETURN_IF_ERROR(Lock());
    LookAtIdentity();
    FL_RETURN_IF_ERROR(LookAtWals());
    FL_RETURN_IF_ERROR(LookAtManifests());
    LookAtTables();
    LookAtSnapshots();
    FL_RETURN_IF_ERROR(ExamineLog(cuts_, snapshots_, &found_));
    return std::move(found_);
  }

 private:
  void Damaged(const fs::path& path, std::optional<uint64_t> offset, std::string_view what) {
    found_.damages.push_back({path.string(), offset, std::string(what)});
  }

  Status Lock() {
    const std::string path = found_.dir + "/" + kWatermarkFile;
    FL_RETURN_IF_ERROR(CheckRocksLock(found_.dir));
    found_.lock = std::make_unique<Watermark>();
    const Status status = found_.lock->OpenToRead(path);
    if (status.code() == StatusCode::kDataLoss) {
      Damaged(path, 0, "is not what a node writes there");
    } else if (!status.ok()) {
      return status;
    } else if (!found_.lock->existed()) {
      Damaged(path, std::nullopt, "is missing");
    }
    return absl::OkStatus();
  }

  void LookAtIdentity() {
    auto identity = ReadIdentity(found_.dir);
    const std::string path = found_.dir + "/identity";
    if (identity.ok()) {
      found_.identity = *std::move(identity);
    } else if (identity.status().code() == StatusCode::kNotFound) {
      Damaged(path, std::nullopt, "is missing");
    } else {
      Damaged(path, std::nullopt, "does not match its checksum");
    }
  }

  // The first that is damaged is cut there, and those after it are not looked at: what they hold
  // rests on what is missing.
  Status LookAtWals() {
    const auto wals =
        FilesOf(found_.dir, [](const fs::path& path) { return path.extension() == ".log"; });
    bool cut = false;
    for (const fs::path& wal : wals) {
      const uint64_t size = fs::file_size(wal);
      if (cut) {
        cuts_[wal.string()] = CutFiles::kHidden;
        if (size == 0) continue;
        found_.cuts.push_back(
            fmt::format("{}, all {} bytes of it: it follows what is damaged", wal.string(), size));
        continue;
      }
      FL_ASSIGN_OR_RETURN(const LogScan scan, ExamineLogFile(wal));
      const bool followed = scan.torn && std::any_of(wals.begin(), wals.end(), [&](const auto& w) {
                              return w > wal && fs::file_size(w) > 0;
                            });
      if (scan.torn && !followed) {
        found_.torn = {wal.string(), scan.torn_offset, "a record is torn"};
      }
      if (!scan.damaged && !followed) continue;
      Damaged(wal, scan.damaged ? scan.damage_offset : scan.torn_offset,
              scan.damaged ? "a record is damaged" : "it ends in the middle of a record");
      const uint64_t keep = scan.damaged ? scan.good_bytes : scan.torn_offset;
      cuts_[wal.string()] = static_cast<int64_t>(keep);
      found_.cuts.push_back(fmt::format("{} from offset {} on: {} of its {} bytes", wal.string(),
                                        keep, size - keep, size));
      cut = true;
    }
    return absl::OkStatus();
  }

  Status LookAtManifests() {
    const auto manifests = FilesOf(found_.dir, [](const fs::path& path) {
      return path.filename().string().starts_with("MANIFEST-");
    });
    for (const fs::path& manifest : manifests) {
      FL_ASSIGN_OR_RETURN(const LogScan scan, ExamineLogFile(manifest));
      if (scan.damaged) Damaged(manifest, scan.damage_offset, "a record is damaged");
    }
    const fs::path current = found_.dir + "/CURRENT";
    if (!fs::exists(current)) Damaged(current, std::nullopt, "is missing");
    return absl::OkStatus();
  }

  void LookAtTables() {
    const auto tables =
        FilesOf(found_.dir, [](const fs::path& path) { return path.extension() == ".sst"; });
    for (const fs::path& table : tables) {
      rocksdb::SstFileReader reader(LogDbOptions(false, nullptr));
      rocksdb::Status status = reader.Open(table.string());
      if (status.ok()) status = reader.VerifyChecksum();
      if (!status.ok()) Damaged(table, OffsetIn(status.ToString()), status.ToString());
    }
  }

  // Which one counts is the log's to say.
  void LookAtSnapshots() {
    const auto files =
        FilesOf(found_.dir + "/" + kSnapshotsFolder, [](const auto&) { return true; });
    for (const fs::path& path : files) {
      if (path.extension() == ".part") {
        found_.notes.push_back(fmt::format("{} is a snapshot that was being fetched ({} bytes)",
                                           path.string(), fs::file_size(path)));
      }
      if (path.extension() != ".snapshot") continue;
      SnapshotFile& file = snapshots_[path.filename()];
      file.path = path;
      file.facts = CheckSnapshotFile(path);
      if (!file.facts.ok()) {
        const std::string text = ToString(file.facts.status().message());
        file.damage = {path.string(), OffsetIn(text), WhatOf(text)};
      }
    }
  }

  Examination found_;
  CutFiles::Cuts cuts_;
  SnapshotFiles snapshots_;
};

}  // namespace

StatusOr<Examination> ExamineDirectory(const std::string& dir) {
  std::error_code error;
  const fs::path path = fs::canonical(dir, error);
  if (error) return MakeError(StatusCode::kNotFound, "{}: {}", dir, error.message());
  const bool known = fs::exists(path / "identity", error) || fs::exists(path / "CURRENT", error) ||
                     fs::exists(path / kWatermarkFile, error);
  if (!known) {
    return MakeError(StatusCode::kNotFound,
                     "{} is no data directory of a controller: it has none of the files identity, "
                     "CURRENT and {}",
                     dir, kWatermarkFile);
  }
  return Examiner(path).Run();
}

}  // namespace faultline::raft
