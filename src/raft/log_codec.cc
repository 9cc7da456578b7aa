#include "raft/log_codec.h"

#include <cstring>

#include "raft/crc32c.h"

namespace faultline::raft {
namespace {

// A value is its checksum and the content. Integers are little-endian, as are the machines we
// support; only keys are big-endian, to sort.
std::string Seal(std::string_view key, std::string_view content) {
  Crc32cState crc;
  crc.process_bytes(key.data(), key.size());
  crc.process_bytes(content.data(), content.size());
  const uint32_t sum = crc.checksum();
  std::string value(sizeof sum, '\0');
  std::memcpy(value.data(), &sum, sizeof sum);
  value.append(content);
  return value;
}

Status Damaged(std::string_view what) {
  return MakeError(StatusCode::kDataLoss, "{} does not match its checksum", what);
}

// The content of `value`.
StatusOr<std::string_view> Unseal(std::string_view key, std::string_view value,
                                  std::string_view what) {
  uint32_t sum = 0;
  if (value.size() < sizeof sum) return Damaged(what);
  std::memcpy(&sum, value.data(), sizeof sum);
  value.remove_prefix(sizeof sum);
  Crc32cState crc;
  crc.process_bytes(key.data(), key.size());
  crc.process_bytes(value.data(), value.size());
  if (crc.checksum() != sum) return Damaged(what);
  return value;
}

}  // namespace

std::string EntryKey(uint64_t index) {
  std::string key(1 + sizeof index, kEntryPrefix);
  for (size_t i = sizeof index; i > 0; --i, index >>= 8) key[i] = static_cast<char>(index & 0xff);
  return key;
}

uint64_t EntryIndex(std::string_view key) {
  uint64_t index = 0;
  for (size_t i = 1; i < key.size(); ++i) index = index << 8 | static_cast<uint8_t>(key[i]);
  return index;
}

std::string EncodeHardState(const HardState& state) {
  char content[2 * sizeof(uint64_t)];
  std::memcpy(content, &state.term, sizeof state.term);
  std::memcpy(content + sizeof state.term, &state.voted_for, sizeof state.voted_for);
  return Seal(kHardStateKey, {content, sizeof content});
}

StatusOr<HardState> DecodeHardState(std::string_view value) {
  FL_ASSIGN_OR_RETURN(const std::string_view content,
                      Unseal(kHardStateKey, value, "the record of term and vote"));
  HardState state;
  if (content.size() != 2 * sizeof(uint64_t)) return Damaged("the record of term and vote");
  std::memcpy(&state.term, content.data(), sizeof state.term);
  std::memcpy(&state.voted_for, content.data() + sizeof state.term, sizeof state.voted_for);
  return state;
}

std::string EncodeEntry(std::string_view key, const pb::Entry& entry) {
  return Seal(key, entry.SerializeAsString());
}

StatusOr<EntryPtr> DecodeEntry(std::string_view key, std::string_view value) {
  const std::string what = fmt::format("log entry {}", EntryIndex(key));
  FL_ASSIGN_OR_RETURN(const std::string_view content, Unseal(key, value, what));
  auto entry = std::make_shared<pb::Entry>();
  if (!entry->ParseFromArray(content.data(), static_cast<int>(content.size()))) {
    return Damaged(what);
  }
  return EntryPtr(std::move(entry));
}

std::string EncodeSnapshot(const pb::SnapshotRecord& record) {
  return Seal(kSnapshotKey, record.SerializeAsString());
}

StatusOr<pb::SnapshotRecord> DecodeSnapshot(std::string_view value) {
  constexpr std::string_view kWhat = "the record of the snapshot";
  FL_ASSIGN_OR_RETURN(const std::string_view content, Unseal(kSnapshotKey, value, kWhat));
  pb::SnapshotRecord record;
  if (!record.ParseFromArray(content.data(), static_cast<int>(content.size()))) {
    return Damaged(kWhat);
  }
  return record;
}

}  // namespace faultline::raft
