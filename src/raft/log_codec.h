// Keys and values of the log in RocksDB. Every value carries a checksum over its key and content.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "raft/types.h"

namespace faultline::raft {

inline constexpr char kHardStateKey[] = "h";
inline constexpr char kSnapshotKey[] = "S";
// The first version kept the snapshot's bytes here.
inline constexpr char kInlineSnapshotKey[] = "s";
inline constexpr char kEntryPrefix = 'e';

// Entry keys sort by index.
std::string EntryKey(uint64_t index);
uint64_t EntryIndex(std::string_view key);

std::string EncodeHardState(const HardState& state);
std::string EncodeEntry(std::string_view key, const pb::Entry& entry);
std::string EncodeSnapshot(const pb::SnapshotRecord& record);

// DATA_LOSS when the checksum is wrong or the content cannot be read.
StatusOr<HardState> DecodeHardState(std::string_view value);
StatusOr<EntryPtr> DecodeEntry(std::string_view key, std::string_view value);
StatusOr<pb::SnapshotRecord> DecodeSnapshot(std::string_view value);

}  // namespace faultline::raft
