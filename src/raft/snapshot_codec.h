// The format of a snapshot, as it stands in a file, travels between members, and is saved and
// restored by people. Written and read in pieces. Pure: where the bytes go to or come from is the
// caller's. All integers little-endian; every CRC is CRC-32C.
//
//   "FLSNAP01"
//   header   u32 size, u32 CRC of it, a SnapshotHeader
//   chunks   'C', u32 stored bytes, u32 content bytes, u32 CRC of all this but itself, zstd frame
//   trailer  'E', u64 content bytes, u64 chunks, u32 CRC of all bytes before the trailer,
//            u32 CRC of the trailer's bytes before
//
// Each chunk stands alone, and nothing follows the trailer.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "raft/crc32c.h"
#include "raft/v1/snapshot.pb.h"

struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

namespace faultline::raft {

namespace pb = ::raft::v1;

inline constexpr uint32_t kSnapshotFormat = 1;

// Size of a whole snapshot's bytes and the CRC-32C in its trailer: two snapshots that agree in both
// and in what they stand for are the same.
struct SnapshotSum {
  uint64_t size_bytes = 0;
  uint32_t crc32c = 0;
  bool operator==(const SnapshotSum&) const = default;
};

class SnapshotEncoder {
 public:
  explicit SnapshotEncoder(ByteSink out);
  ~SnapshotEncoder();
  SnapshotEncoder(const SnapshotEncoder&) = delete;
  SnapshotEncoder& operator=(const SnapshotEncoder&) = delete;

  // First Begin, then Append for all of the content, then Finish. Errors are the sink's.
  Status Begin(const pb::SnapshotHeader& header);
  Status Append(std::string_view content);
  StatusOr<SnapshotSum> Finish();

 private:
  Status Put(std::string_view bytes);
  Status PutChunk();

  const ByteSink out_;
  ZSTD_CCtx_s* const zstd_;
  std::string content_;  // of the chunk to come
  std::string stored_;
  Crc32cState crc_;
  uint64_t size_bytes_ = 0;
  uint64_t content_bytes_ = 0;
  uint64_t chunks_ = 0;
};

// The content of a snapshot, checked before it is given out. Next() is empty only when all of the
// snapshot was there and whole. DATA_LOSS, "<name> is damaged at offset N: ...", otherwise.
class SnapshotDecoder final : public ByteSource {
 public:
  // Reads the header. `bytes` are the snapshot's from its beginning. DATA_LOSS also when it is of
  // a format that this version does not know.
  static StatusOr<std::unique_ptr<SnapshotDecoder>> Open(std::unique_ptr<ByteSource> bytes,
                                                         std::string name);
  ~SnapshotDecoder() override;

  const pb::SnapshotHeader& header() const { return header_; }
  StatusOr<std::string_view> Next() override;
  // After the end.
  SnapshotSum sum() const { return {offset_, crc32c_}; }
  uint64_t content_bytes() const { return content_bytes_; }

 private:
  SnapshotDecoder(std::unique_ptr<ByteSource> bytes, std::string name);
  Status ReadHeader();
  StatusOr<std::string_view> ReadChunk();
  Status ReadTrailer();
  // Makes the next `count` bytes stand in buffer_, and moves on behind them.
  Status Take(size_t count);
  Status Damaged(std::string_view what) const;

  const std::unique_ptr<ByteSource> bytes_;
  const std::string name_;
  ZSTD_DCtx_s* const zstd_;
  pb::SnapshotHeader header_;
  std::string_view piece_;  // of bytes_, not yet taken
  std::string buffer_;
  std::string content_;
  uint64_t offset_ = 0;  // behind buffer_
  uint64_t part_ = 0;    // where the present part begins
  Crc32cState crc_;      // of the parts before
  uint32_t crc32c_ = 0;
  uint64_t content_bytes_ = 0;
  uint64_t chunks_ = 0;
  bool ended_ = false;
};

}  // namespace faultline::raft
