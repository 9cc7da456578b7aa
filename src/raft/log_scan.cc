#include "raft/log_scan.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string_view>

#include "raft/crc32c.h"

namespace faultline::raft {
namespace {

constexpr size_t kBlockBytes = 32'768;
constexpr size_t kHeaderBytes = 7;  // CRC (4), length (2), type (1)
// Full, first, middle, last. Recyclable types are never written: recycling is off.
constexpr uint8_t kFull = 1, kFirst = 2, kMiddle = 3, kLast = 4;

// A record's checksum is stored rotated and offset.
uint32_t Masked(uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xa282ead8U; }

struct Header {
  uint32_t crc = 0;
  uint16_t length = 0;
  uint8_t type = 0;
};

class Scanner {
 public:
  explicit Scanner(std::string_view bytes) : bytes_(bytes) {}

  LogScan Run() {
    size_t at = 0;
    size_t begin = 0;  // of the logical record
    bool within = false;
    while (at < bytes_.size()) {
      const size_t left_in_block = kBlockBytes - at % kBlockBytes;
      if (left_in_block < kHeaderBytes) {
        if (!AllZero(at, std::min(at + left_in_block, bytes_.size()))) {
          return Damage(at, within ? begin : at);
        }
        at += left_in_block;
        continue;
      }
      if (!within) begin = at;
      if (!IsRecord(at)) return EndsHere(at, begin);
      const Header header = HeaderAt(at);
      const bool continues = header.type == kMiddle || header.type == kLast;
      if (header.type < kFull || header.type > kLast || continues != within) {
        return Damage(at, begin);
      }
      within = header.type == kFirst || header.type == kMiddle;
      at += kHeaderBytes + header.length;
    }
    return within ? Torn(begin) : LogScan{};
  }

 private:
  static LogScan Damage(size_t at, size_t begin) {
    LogScan scan;
    scan.damaged = true;
    scan.damage_offset = at;
    scan.good_bytes = begin;
    return scan;
  }
  static LogScan Torn(size_t begin) {
    LogScan scan;
    scan.torn = true;
    scan.torn_offset = begin;
    return scan;
  }

  bool AllZero(size_t from, size_t to) const {
    return std::all_of(bytes_.begin() + static_cast<ptrdiff_t>(from),
                       bytes_.begin() + static_cast<ptrdiff_t>(to), [](char c) { return c == 0; });
  }

  Header HeaderAt(size_t at) const {
    Header header;
    std::memcpy(&header.crc, bytes_.data() + at, sizeof header.crc);
    std::memcpy(&header.length, bytes_.data() + at + 4, sizeof header.length);
    header.type = static_cast<uint8_t>(bytes_[at + 6]);
    return header;
  }

  // The checksum is over type and payload, not over the length.
  bool ChecksumFits(size_t at, size_t length) const {
    return HeaderAt(at).crc == Masked(Crc32c(bytes_.substr(at + 6, length + 1)));
  }

  // A whole record with the right checksum stands at `at`.
  bool IsRecord(size_t at) const {
    if (at + kHeaderBytes > bytes_.size()) return false;
    const size_t end = std::min(bytes_.size(), at - at % kBlockBytes + kBlockBytes);
    const size_t length = HeaderAt(at).length;
    return at + kHeaderBytes + length <= end && ChecksumFits(at, length);
  }

  // No record stands at `at`: the torn end of the file, or damage?
  LogScan EndsHere(size_t at, size_t begin) const {
    if (AllZero(at, bytes_.size())) return Torn(begin);
    const size_t rest = bytes_.size() - at;
    if (rest < kHeaderBytes) return Torn(begin);
    // A torn record runs past the end of the file. One that ends before it is damaged, as is one
    // whose checksum fits what is there (its length is wrong), or that others follow.
    if (HeaderAt(at).length + kHeaderBytes <= rest) return Damage(at, begin);
    if (at % kBlockBytes + kHeaderBytes + HeaderAt(at).length > kBlockBytes)
      return Damage(at, begin);
    if (ChecksumFits(at, rest - kHeaderBytes)) return Damage(at, begin);
    for (size_t next = at + 1; next + kHeaderBytes < bytes_.size(); ++next) {
      const uint8_t type = HeaderAt(next).type;
      if (type >= kFull && type <= kLast && IsRecord(next)) return Damage(at, begin);
    }
    return Torn(begin);
  }

  std::string_view bytes_;
};

}  // namespace

StatusOr<LogScan> ExamineLogFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (file.bad() || !file.is_open()) {
    return MakeError(StatusCode::kUnavailable, "cannot read {}", path);
  }
  return Scanner(bytes).Run();
}

StatusOr<LogScan> ScanLogFile(const std::string& path) {
  FL_ASSIGN_OR_RETURN(const LogScan scan, ExamineLogFile(path));
  if (!scan.damaged) return scan;
  return MakeError(StatusCode::kDataLoss, "{} is damaged at offset {}", path, scan.damage_offset);
}

}  // namespace faultline::raft
