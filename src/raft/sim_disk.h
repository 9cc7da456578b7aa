// A disk in memory. For tests.
#pragma once

#include <cstdint>
#include <map>

#include "raft/types.h"

namespace faultline::raft {

// What was synced, and nothing else.
struct SimDisk {
  HardState hard_state;
  SnapshotPtr snapshot;
  std::map<uint64_t, EntryPtr> entries;

  void Apply(const LogWrite& write) {
    if (write.hard_state) hard_state = *write.hard_state;
    if (write.clear_log) entries.clear();
    if (write.remove_from > 0) entries.erase(entries.lower_bound(write.remove_from), entries.end());
    uint64_t index = write.first_index;
    for (const EntryPtr& entry : write.entries) entries[index++] = entry;
    if (write.snapshot) snapshot = write.snapshot;
    entries.erase(entries.begin(), entries.upper_bound(write.trim_to));
  }

  LoadedLog Load() const {
    LoadedLog log;
    log.hard_state = hard_state;
    log.snapshot = snapshot;
    log.first_index = entries.empty() ? (snapshot ? snapshot->metadata.last_index() + 1 : 1)
                                      : entries.begin()->first;
    for (const auto& [index, entry] : entries) log.entries.push_back(entry);
    return log;
  }
};

}  // namespace faultline::raft
