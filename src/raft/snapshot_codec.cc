#include "raft/snapshot_codec.h"

#include <zstd.h>

#include <cstring>
#include <utility>

namespace faultline::raft {
namespace {

constexpr std::string_view kMagic = "FLSNAP01";
constexpr size_t kChunkBytes = 256 << 10;
constexpr size_t kMaxChunkBytes = 4 << 20;
constexpr size_t kMaxHeaderBytes = 1 << 20;
constexpr int kLevel = 1;
constexpr char kChunk = 'C', kTrailer = 'E';
constexpr size_t kChunkHeadBytes = 1 + 3 * sizeof(uint32_t);
constexpr size_t kTrailerBytes = 1 + 2 * sizeof(uint64_t) + 2 * sizeof(uint32_t);

template <typename Integer>
void Add(std::string* to, Integer value) {
  to->append(reinterpret_cast<const char*>(&value), sizeof value);
}

template <typename Integer>
Integer At(std::string_view bytes, size_t offset) {
  Integer value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

void Process(Crc32cState* crc, std::string_view bytes) {
  crc->process_bytes(bytes.data(), bytes.size());
}

// The CRC of a chunk: of its head without the CRC itself, and of what is stored.
uint32_t ChunkCrc(std::string_view head, std::string_view stored) {
  Crc32cState crc;
  Process(&crc, head.substr(0, kChunkHeadBytes - sizeof(uint32_t)));
  Process(&crc, stored);
  return crc.checksum();
}

}  // namespace

SnapshotEncoder::SnapshotEncoder(ByteSink out) : out_(std::move(out)), zstd_(ZSTD_createCCtx()) {}

SnapshotEncoder::~SnapshotEncoder() { ZSTD_freeCCtx(zstd_); }

Status SnapshotEncoder::Put(std::string_view bytes) {
  Process(&crc_, bytes);
  size_bytes_ += bytes.size();
  return out_(bytes);
}

Status SnapshotEncoder::Begin(const pb::SnapshotHeader& header) {
  pb::SnapshotHeader full = header;
  full.set_format(kSnapshotFormat);
  const std::string text = full.SerializeAsString();
  std::string bytes(kMagic);
  Add(&bytes, static_cast<uint32_t>(text.size()));
  Add(&bytes, Crc32c(text));
  return Put(bytes + text);
}

Status SnapshotEncoder::Append(std::string_view content) {
  while (!content.empty()) {
    const size_t room = kChunkBytes - content_.size();
    content_.append(content.substr(0, room));
    content.remove_prefix(std::min(room, content.size()));
    if (content_.size() == kChunkBytes) FL_RETURN_IF_ERROR(PutChunk());
  }
  return absl::OkStatus();
}

Status SnapshotEncoder::PutChunk() {
  stored_.resize(ZSTD_compressBound(content_.size()));
  const size_t size = ZSTD_compressCCtx(zstd_, stored_.data(), stored_.size(), content_.data(),
                                        content_.size(), kLevel);
  if (ZSTD_isError(size)) {
    return MakeError(StatusCode::kInternal, "zstd: {}", ZSTD_getErrorName(size));
  }
  stored_.resize(size);
  std::string head(1, kChunk);
  Add(&head, static_cast<uint32_t>(size));
  Add(&head, static_cast<uint32_t>(content_.size()));
  Add(&head, uint32_t{0});
  const uint32_t crc = ChunkCrc(head, stored_);
  std::memcpy(head.data() + kChunkHeadBytes - sizeof crc, &crc, sizeof crc);
  content_bytes_ += content_.size();
  ++chunks_;
  content_.clear();
  FL_RETURN_IF_ERROR(Put(head));
  return Put(stored_);
}

StatusOr<SnapshotSum> SnapshotEncoder::Finish() {
  if (!content_.empty()) FL_RETURN_IF_ERROR(PutChunk());
  const uint32_t crc32c = crc_.checksum();
  std::string trailer(1, kTrailer);
  Add(&trailer, content_bytes_);
  Add(&trailer, chunks_);
  Add(&trailer, crc32c);
  Add(&trailer, Crc32c(trailer));
  FL_RETURN_IF_ERROR(Put(trailer));
  return SnapshotSum{size_bytes_, crc32c};
}

SnapshotDecoder::SnapshotDecoder(std::unique_ptr<ByteSource> bytes, std::string name)
    : bytes_(std::move(bytes)), name_(std::move(name)), zstd_(ZSTD_createDCtx()) {}

SnapshotDecoder::~SnapshotDecoder() { ZSTD_freeDCtx(zstd_); }

StatusOr<std::unique_ptr<SnapshotDecoder>> SnapshotDecoder::Open(std::unique_ptr<ByteSource> bytes,
                                                                 std::string name) {
  std::unique_ptr<SnapshotDecoder> decoder(new SnapshotDecoder(std::move(bytes), std::move(name)));
  FL_RETURN_IF_ERROR(decoder->ReadHeader());
  return decoder;
}

Status SnapshotDecoder::Damaged(std::string_view what) const {
  return MakeError(StatusCode::kDataLoss, "{} is damaged at offset {}: {}", name_, part_, what);
}

Status SnapshotDecoder::Take(size_t count) {
  buffer_.clear();
  while (buffer_.size() < count) {
    if (piece_.empty()) {
      FL_ASSIGN_OR_RETURN(piece_, bytes_->Next());
      if (piece_.empty()) {
        return Damaged(fmt::format("it ends at offset {}", offset_ + buffer_.size()));
      }
    }
    const size_t some = std::min(count - buffer_.size(), piece_.size());
    buffer_.append(piece_.substr(0, some));
    piece_.remove_prefix(some);
  }
  offset_ += count;
  return absl::OkStatus();
}

Status SnapshotDecoder::ReadHeader() {
  FL_RETURN_IF_ERROR(Take(kMagic.size() + 2 * sizeof(uint32_t)));
  if (std::string_view(buffer_).substr(0, kMagic.size()) != kMagic) {
    return MakeError(StatusCode::kDataLoss, "{} is no snapshot: it does not begin as one", name_);
  }
  const auto size = At<uint32_t>(buffer_, kMagic.size());
  const auto crc = At<uint32_t>(buffer_, kMagic.size() + sizeof size);
  Process(&crc_, buffer_);
  if (size > kMaxHeaderBytes) return Damaged("the header's size is wrong");
  FL_RETURN_IF_ERROR(Take(size));
  Process(&crc_, buffer_);
  if (Crc32c(buffer_) != crc || !header_.ParseFromString(buffer_)) {
    return Damaged("the header does not match its checksum");
  }
  if (header_.format() != kSnapshotFormat) {
    return MakeError(StatusCode::kDataLoss, "{} has format {}; this version reads {}", name_,
                     header_.format(), kSnapshotFormat);
  }
  return absl::OkStatus();
}

StatusOr<std::string_view> SnapshotDecoder::Next() {
  if (ended_) return std::string_view();
  part_ = offset_;
  FL_RETURN_IF_ERROR(Take(1));
  if (buffer_.front() == kChunk) return ReadChunk();
  if (buffer_.front() != kTrailer) return Damaged("neither a chunk nor the end");
  FL_RETURN_IF_ERROR(ReadTrailer());
  return std::string_view();
}

StatusOr<std::string_view> SnapshotDecoder::ReadChunk() {
  std::string head = buffer_;
  FL_RETURN_IF_ERROR(Take(kChunkHeadBytes - 1));
  head += buffer_;
  const auto stored = At<uint32_t>(head, 1);
  const auto size = At<uint32_t>(head, 1 + sizeof(uint32_t));
  if (size == 0 || size > kMaxChunkBytes || stored > ZSTD_compressBound(kMaxChunkBytes)) {
    return Damaged("the chunk's size is wrong");
  }
  FL_RETURN_IF_ERROR(Take(stored));
  if (ChunkCrc(head, buffer_) != At<uint32_t>(head, 1 + 2 * sizeof(uint32_t))) {
    return Damaged("the chunk does not match its checksum");
  }
  Process(&crc_, head);
  Process(&crc_, buffer_);
  content_.resize(size);
  const size_t got = ZSTD_decompressDCtx(zstd_, content_.data(), size, buffer_.data(), stored);
  if (got != size) return Damaged("the chunk cannot be decompressed");
  content_bytes_ += size;
  ++chunks_;
  return content_;
}

Status SnapshotDecoder::ReadTrailer() {
  std::string trailer = buffer_;
  FL_RETURN_IF_ERROR(Take(kTrailerBytes - 1));
  trailer += buffer_;
  const std::string_view sealed = std::string_view(trailer).substr(0, kTrailerBytes - 4);
  if (Crc32c(sealed) != At<uint32_t>(trailer, kTrailerBytes - 4)) {
    return Damaged("the end does not match its checksum");
  }
  crc32c_ = crc_.checksum();
  if (At<uint64_t>(trailer, 1) != content_bytes_ || At<uint64_t>(trailer, 9) != chunks_ ||
      At<uint32_t>(trailer, 17) != crc32c_) {
    return Damaged("the whole does not match its checksum");
  }
  if (piece_.empty()) {
    FL_ASSIGN_OR_RETURN(piece_, bytes_->Next());
  }
  part_ = offset_;
  if (!piece_.empty()) return Damaged("there are bytes after the end");
  ended_ = true;
  return absl::OkStatus();
}

}  // namespace faultline::raft
