// Reads the physical records of RocksDB's append-only files (write-ahead logs and manifest: 32 KiB
// blocks of records, each with checksum, length and type) and tells a torn end from damage. RocksDB
// itself takes a wrong length near the end of a file for a torn end, and then silently drops all
// that follows, and names no offset.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"

namespace faultline::raft {

struct LogScan {
  bool torn = false;         // the file ends within a record (or in zeros)
  uint64_t torn_offset = 0;  // where that record begins
  bool damaged = false;
  uint64_t damage_offset = 0;  // where the bytes are wrong, and
  uint64_t good_bytes = 0;     // where the record begins that they are part of
};

// DATA_LOSS naming file and offset when a record before the end is damaged. UNAVAILABLE when the
// file cannot be read.
StatusOr<LogScan> ScanLogFile(const std::string& path);
// The same, but damage is in the result.
StatusOr<LogScan> ExamineLogFile(const std::string& path);

}  // namespace faultline::raft
