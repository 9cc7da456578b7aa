// What the tests of the log store are made of.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "raft/log_store.h"
#include "raft/memory_snapshot.h"

namespace faultline::raft {

inline EntryPtr EntryOf(uint64_t term, const std::string& data) {
  auto entry = std::make_shared<pb::Entry>();
  entry->set_term(term);
  entry->set_type(pb::ENTRY_TYPE_COMMAND);
  entry->set_data(data);
  return entry;
}

inline LogWrite WriteOf(uint64_t first_index, const std::vector<EntryPtr>& entries) {
  LogWrite write;
  write.first_index = first_index;
  write.entries = entries;
  return write;
}

// Written beside the log of `store`.
inline SnapshotPtr SnapshotOf(LogStore& store, uint64_t index, uint64_t term,
                              const std::string& data) {
  pb::SnapshotMetadata metadata;
  metadata.set_last_index(index);
  metadata.set_last_term(term);
  auto snapshot = store.snapshots().Write(metadata, TextImage(data));
  EXPECT_TRUE(snapshot.ok()) << snapshot.status();
  return *snapshot;
}

inline std::string DataOf(const Snapshot& snapshot) {
  auto decoder = SnapshotDecoder::Open(*snapshot.bytes->Read(0), snapshot.bytes->name());
  EXPECT_TRUE(decoder.ok()) << decoder.status();
  auto state = LoadText(**decoder);
  EXPECT_TRUE(state.ok()) << state.status();
  return state.ok() ? TextOf(**state) : "";
}

// A log of `count` acknowledged single-entry writes after term and vote. Closed.
inline void MakeLog(const std::string& dir, int count, size_t data_bytes = 40) {
  auto store = LogStore::Open(dir);
  ASSERT_TRUE(store.ok()) << store.status();
  LogWrite write;
  write.hard_state = HardState{3, 2};
  ASSERT_TRUE((*store)->Write(write).ok());
  for (int i = 1; i <= count; ++i) {
    ASSERT_TRUE((*store)
                    ->Write(WriteOf(static_cast<uint64_t>(i),
                                    {EntryOf(3, std::string(data_bytes, 'a' + i % 20))}))
                    .ok());
  }
}

}  // namespace faultline::raft
