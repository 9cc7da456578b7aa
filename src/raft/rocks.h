// Internal to the log's files: how its RocksDB is opened, and what RocksDB's errors mean.
#pragma once

#include <rocksdb/options.h>
#include <rocksdb/slice.h>
#include <rocksdb/status.h>

#include <string>
#include <string_view>

#include "base/status.h"

namespace faultline::raft {

inline constexpr size_t kWriteBufferBytes = 4 << 20;
// Names in a data directory.
inline constexpr char kWatermarkFile[] = "ACKNOWLEDGED";
inline constexpr char kSnapshotsFolder[] = "snapshots";

// `env`: through which RocksDB reaches the disk; null: its own.
rocksdb::Options LogDbOptions(bool create, rocksdb::Env* env);

// Of an operation that reads: FAILED_PRECONDITION when the directory is in use or cannot be used,
// else DATA_LOSS.
Status FromRocks(const std::string& dir, const rocksdb::Status& status);

inline std::string_view View(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

}  // namespace faultline::raft
