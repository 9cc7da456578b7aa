#include "sim/disk.h"

#include <utility>

#include "raft/log_store.h"

namespace faultline::sim {
namespace {

std::map<std::string, Disk*>& Disks() {
  static std::map<std::string, Disk*> disks;
  return disks;
}

}  // namespace

Disk::Disk(World* world, std::string dir) : world_(world), dir_(std::move(dir)) {
  Disks()[dir_] = this;
}

Disk::~Disk() { Disks().erase(dir_); }

Disk* Disk::Find(const std::string& dir) {
  const auto found = Disks().find(dir);
  return found == Disks().end() ? nullptr : found->second;
}

void Disk::Apply(const raft::LogWrite& write) {
  if (write.hard_state) hard_state_ = *write.hard_state;
  if (write.clear_log) entries_.clear();
  if (write.remove_from > 0)
    entries_.erase(entries_.lower_bound(write.remove_from), entries_.end());
  uint64_t index = write.first_index;
  for (const raft::EntryPtr& entry : write.entries) entries_[index++] = entry;
  if (write.snapshot) snapshot_ = write.snapshot;
  entries_.erase(entries_.begin(), entries_.upper_bound(write.trim_to));
}

void Disk::Settle() {
  if (!under_way_ || done_at_ns_ > world_->now_ns()) return;
  Apply(*under_way_);
  under_way_.reset();
}

void Disk::PowerLost() {
  Settle();
  if (under_way_ && world_->Chance(0.5)) Apply(*under_way_);
  under_way_.reset();
}

Status Disk::Write(const raft::LogWrite& write) {
  // Its writer knows that the one before is done.
  if (under_way_) Apply(*std::exchange(under_way_, std::nullopt));
  on_write(write);
  uint64_t duration_ns = world_->Between(100 * kUs, 3 * kMs);
  if (world_->Chance(faults.slow)) duration_ns = world_->Between(1, 100) * kMs;
  if (faults.hang_until_ns > world_->now_ns() + duration_ns) {
    duration_ns = faults.hang_until_ns - world_->now_ns();
    if (on_hang) on_hang(duration_ns);
  }
  done_at_ns_ = world_->now_ns() + duration_ns;
  if (faults.full_until_ns > world_->now_ns() || world_->Chance(faults.error)) {
    const bool full = faults.full_until_ns > world_->now_ns();
    world_->Note("disk: a write fails: {}", full ? "no space left" : "input/output error");
    world_->Count(full ? "writes to a full disk" : "disk errors");
    if (!full && world_->Chance(0.5)) Apply(write);
    world_->Spend(duration_ns);
    return MakeError(full ? StatusCode::kResourceExhausted : StatusCode::kUnavailable, "{}",
                     full ? "no space left on device" : "input/output error");
  }
  if (world_->Chance(write.hard_state ? faults.crash_vote : faults.crash)) {
    on_power_loss(world_->Between(0, duration_ns));
  }
  under_way_ = write;
  world_->Spend(duration_ns);
  return absl::OkStatus();
}

raft::LoadedLog Disk::Load() {
  Settle();
  raft::LoadedLog log;
  log.hard_state = hard_state_;
  log.snapshot = snapshot_;
  log.first_index = !entries_.empty() ? entries_.begin()->first
                    : snapshot_       ? snapshot_->metadata.last_index() + 1
                                      : 1;
  for (const auto& [index, entry] : entries_) log.entries.push_back(entry);
  return log;
}

Status Disk::Recover() {
  if (faults.full_until_ns <= world_->now_ns()) return absl::OkStatus();
  return MakeError(StatusCode::kResourceExhausted, "no space left on device");
}

raft::EntryPtr Disk::At(uint64_t index) {
  Settle();
  const auto found = entries_.find(index);
  return found == entries_.end() ? nullptr : found->second;
}

raft::pb::Configuration Disk::Configuration() {
  Settle();
  for (auto at = entries_.rbegin(); at != entries_.rend(); ++at) {
    if (at->second->type() != raft::pb::ENTRY_TYPE_CONFIGURATION) continue;
    raft::pb::Configuration configuration;
    configuration.ParseFromString(at->second->data());
    return configuration;
  }
  return snapshot_ ? snapshot_->metadata.configuration() : raft::pb::Configuration();
}

uint64_t Disk::TermAt(uint64_t index) {
  Settle();
  const auto found = entries_.find(index);
  if (found != entries_.end()) return found->second->term();
  const bool at_snapshot = snapshot_ && snapshot_->metadata.last_index() == index;
  return at_snapshot ? snapshot_->metadata.last_term() : 0;
}

bool Disk::Holds(uint64_t index, uint64_t term) {
  if (index <= snapshot_index()) return true;
  return TermAt(index) == term;
}

uint64_t Disk::last_index() {
  Settle();
  return entries_.empty() ? snapshot_index() : entries_.rbegin()->first;
}

uint64_t Disk::snapshot_index() {
  Settle();
  return snapshot_ ? snapshot_->metadata.last_index() : 0;
}

const raft::SnapshotPtr& Disk::snapshot() {
  Settle();
  return snapshot_;
}

}  // namespace faultline::sim

namespace faultline::raft {

struct LogStore::Impl {
  sim::Disk* disk = nullptr;
  SnapshotFolder snapshots;
  bool taken = false;
};

LogStore::LogStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LogStore::~LogStore() = default;

StatusOr<std::unique_ptr<LogStore>> LogStore::Open(const std::string& dir, rocksdb::Env*) {
  sim::Disk* disk = sim::Disk::Find(dir);
  if (disk->damaged) {
    // Without the folder, which has another name in each run.
    return MakeError(StatusCode::kDataLoss, "record at offset 4711 is damaged");
  }
  auto impl = std::unique_ptr<Impl>(new Impl{disk, SnapshotFolder(dir + "/snapshots"), false});
  return std::unique_ptr<LogStore>(new LogStore(std::move(impl)));
}

LoadedLog LogStore::TakeLoaded() {
  return std::exchange(impl_->taken, true) ? LoadedLog{} : impl_->disk->Load();
}

Status LogStore::Write(const LogWrite& write) { return impl_->disk->Write(write); }

Status LogStore::Recover() { return impl_->disk->Recover(); }

SnapshotFolder& LogStore::snapshots() { return impl_->snapshots; }

}  // namespace faultline::raft
