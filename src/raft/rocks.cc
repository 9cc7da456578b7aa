#include "raft/rocks.h"

#include <rocksdb/cache.h>
#include <rocksdb/env.h>
#include <rocksdb/table.h>

namespace faultline::raft {
namespace {

constexpr size_t kBlockCacheBytes = 1 << 20;

class NoInfoLog final : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

}  // namespace

rocksdb::Options LogDbOptions(bool create, rocksdb::Env* env) {
  rocksdb::Options options;
  if (env != nullptr) options.env = env;
  options.create_if_missing = create;
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  options.recycle_log_file_num = 0;  // the recovery mode above excludes it
  options.paranoid_checks = true;
  options.track_and_verify_wals_in_manifest = true;
  options.max_open_files = -1;  // all tables are opened, and so missed, at once
  options.max_file_opening_threads = 1;
  options.write_buffer_size = kWriteBufferBytes;
  options.max_write_buffer_number = 2;
  options.target_file_size_base = kWriteBufferBytes;
  options.max_manifest_file_size = 1 << 20;
  options.max_background_jobs = 2;
  options.compression = rocksdb::kNoCompression;
  options.avoid_flush_during_shutdown = true;
  options.max_bgerror_resume_count = 0;  // Recover opens anew, which leaves nothing in doubt
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  options.info_log = std::make_shared<NoInfoLog>();
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(kBlockCacheBytes);
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

Status FromRocks(const std::string& dir, const rocksdb::Status& status) {
  const std::string text = status.ToString();
  if (status.IsIOError() && text.find("lock") != std::string::npos) {
    return MakeError(StatusCode::kFailedPrecondition,
                     "another process is using the data directory {} ({})", dir, text);
  }
  if ((status.IsIOError() && !status.IsPathNotFound()) || status.IsNoSpace()) {
    return MakeError(StatusCode::kFailedPrecondition, "the log in {} cannot be used: {}", dir,
                     text);
  }
  return MakeError(StatusCode::kDataLoss, "the log in {} is damaged: {}", dir, text);
}

}  // namespace faultline::raft
