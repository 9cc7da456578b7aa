// A node's disk: what raft/log_store.h keeps, with what goes wrong on disks. What was synced is
// there after a crash; a write that was under way is there as a whole or not at all (the real store
// drops a torn record that was not acknowledged).
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "base/status.h"
#include "raft/types.h"
#include "sim/world.h"

namespace faultline::sim {

struct DiskFaults {
  double slow = 0;             // a sync takes up to 100 ms
  double crash = 0;            // the power goes during a write
  double crash_vote = 0;       // ...during one with term or vote
  double error = 0;            // a write fails, and may be there or not
  uint64_t full_until_ns = 0;  // every write fails until then
  uint64_t hang_until_ns = 0;  // no write ends before then, and none says why
};

class Disk {
 public:
  // A file system's directory for the store at `dir`: LogStore::Open finds it by that name.
  Disk(World* world, std::string dir);
  ~Disk();
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;
  // nullptr when there is none.
  static Disk* Find(const std::string& dir);

  DiskFaults faults;
  // A flipped bit: nothing can be read any more.
  bool damaged = false;
  // Told of each write as it begins.
  std::function<void(const raft::LogWrite&)> on_write;
  // The host's power goes after so long.
  std::function<void(uint64_t after_ns)> on_power_loss;
  // A write that has just begun hangs for so long.
  std::function<void(uint64_t for_ns)> on_hang;

  Status Write(const raft::LogWrite& write);
  raft::LoadedLog Load();
  // Whether the disk works again, after a failed write.
  Status Recover();
  // The host lost its power: settles what was under way.
  void PowerLost();
  // When the newest write ends, or has ended.
  uint64_t busy_until_ns() const { return done_at_ns_; }

  // The durable entry at `index`; null when there is none.
  raft::EntryPtr At(uint64_t index);
  // The newest configuration that is durable; empty when there is none.
  raft::pb::Configuration Configuration();
  // Its term; 0 when there is none. Of the snapshot's last entry too.
  uint64_t TermAt(uint64_t index);
  // Whether the entry, or a snapshot that stands for it, is durable.
  bool Holds(uint64_t index, uint64_t term);
  uint64_t last_index();
  uint64_t snapshot_index();
  // Null when there is none.
  const raft::SnapshotPtr& snapshot();

 private:
  void Apply(const raft::LogWrite& write);
  void Settle();

  World* const world_;
  const std::string dir_;
  raft::HardState hard_state_;
  raft::SnapshotPtr snapshot_;
  std::map<uint64_t, raft::EntryPtr> entries_;
  std::optional<raft::LogWrite> under_way_;
  uint64_t done_at_ns_ = 0;
};

}  // namespace faultline::sim
