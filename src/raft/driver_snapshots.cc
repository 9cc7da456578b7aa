// The driver's snapshots: taken of its own state machine, or fetched from a leader that offers one.
#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "raft/driver.h"
#include "raft/filters.h"

namespace faultline::raft {
namespace {

// A snapshot is also taken once so many bytes have been applied since the last, and at the most so
// many bytes of entries stay in the log with it.
constexpr size_t kSnapshotEveryBytes = 16 << 20;
constexpr size_t kSnapshotTrailingBytes = 4 << 20;
// A snapshot is worth writing once half its size has been applied. A large one costs as much as the
// commands of many periods (100,000 experiments are 3 MiB compressed and a second of CPU time, as
// much as 2,000 commands), so it waits for several times its size; but for no more than so many
// bytes, which the next start reads again, and so many periods.
constexpr uint64_t kLargeSnapshotBytes = 1 << 20;
constexpr uint64_t kWorthTimesLarge = 6;
constexpr uint64_t kAlwaysWorthBytes = 64 << 20;
constexpr uint64_t kMostSnapshotPeriods = 16;
// For a member that is behind, and would else need a snapshot.
constexpr size_t kMostTrailingBytes = 32 << 20;
constexpr uint64_t kRetryTakeNs = 5 * kNanosPerSecond;
// So many in a row that fail are told of: the log and its memory grow meanwhile.
constexpr uint32_t kFailedTakesToTell = 3;
// A snapshot is offered with every heartbeat, and fetched again so long after that failed: one that
// came damaged, which it will mostly do again, after the first pause of two, and twice as long each
// time up to the second.
constexpr uint64_t kRetryFetchNs = kNanosPerSecond;
constexpr uint64_t kDamagedPauseNs = 4 * kNanosPerSecond;
constexpr uint64_t kMostDamagedPauseNs = 60 * kNanosPerSecond;

// Applied since the last snapshot, of that size, that make another worth writing.
uint64_t WorthAfterBytes(uint64_t last_size_bytes) {
  if (last_size_bytes < kLargeSnapshotBytes) return (last_size_bytes + 1) / 2;
  return std::min(kWorthTimesLarge * last_size_bytes, kAlwaysWorthBytes);
}

bool OffersSame(const pb::InstallSnapshot& a, const pb::InstallSnapshot& b) {
  return a.metadata().last_index() == b.metadata().last_index() &&
         a.size_bytes() == b.size_bytes() && a.crc32c() == b.crc32c();
}

}  // namespace

void Driver::TakeSnapshot() {
  const uint64_t applied = applied_index_ - snapshot_index_;
  const uint64_t last_size_bytes = snapshot_ ? snapshot_->sum.size_bytes : 0;
  const bool due =
      applied >= options_.snapshot_every || bytes_since_snapshot_ >= kSnapshotEveryBytes;
  const bool worth = bytes_since_snapshot_ >= WorthAfterBytes(last_size_bytes) ||
                     applied >= kMostSnapshotPeriods * options_.snapshot_every;
  if (!failure_.ok() || !storage_problem_.ok() || !due || !worth) return;
  if (taking_ || writes_.taking() || status_.installing || applied == 0) return;
  if (host_->NowNs() < take_not_before_ns_) return;
  taking_ = true;
  snapshot_index_ = applied_index_;
  bytes_in_take_ = std::exchange(bytes_since_snapshot_, 0);
  host_->StartSnapshot(applied_metadata(), machine_->Capture());
}

pb::SnapshotMetadata Driver::applied_metadata() const {
  pb::SnapshotMetadata metadata;
  metadata.set_last_index(applied_index_);
  metadata.set_last_term(applied_term_);
  metadata.set_configuration_index(configurations_.committed_index());
  *metadata.mutable_configuration() = configurations_.committed();
  return metadata;
}

void Driver::SnapshotDone(const StatusOr<SnapshotPtr>& written) {
  taking_ = false;
  if (!failure_.ok()) return;
  if (!written.ok()) {
    FL_LOG(warn, "raft member {} could not write a snapshot: {}", options_.id,
           ToString(written.status().message()));
    snapshot_index_ = snapshot_ ? snapshot_->metadata.last_index() : 0;
    bytes_since_snapshot_ += bytes_in_take_;
    take_not_before_ns_ = host_->NowNs() + kRetryTakeNs;
    if (++failed_takes_ >= kFailedTakesToTell) {
      snapshot_problem_ = ToString(written.status().message());
    }
    return;
  }
  ForgetFailedTakes();
  const uint64_t index = (*written)->metadata.last_index();
  if (status_.installing || index <= status_.snapshot_index || index <= status_.offset) return;
  writes_.TakeSnapshot(*written, TrailingFor(index));
}

void Driver::ForgetFailedTakes() {
  failed_takes_ = 0;
  snapshot_problem_.clear();
}

uint32_t Driver::TrailingFor(uint64_t snapshot_index) const {
  uint64_t keep = std::min(options_.snapshot_trailing,
                           log_.CountWithin(snapshot_index, kSnapshotTrailingBytes));
  if (status_.role != Role::kLeader) return static_cast<uint32_t>(keep);
  const uint64_t most = std::min(options_.snapshot_trailing_most,
                                 log_.CountWithin(snapshot_index, kMostTrailingBytes));
  for (const Member& member : members_) {
    if (member.id == options_.id) continue;
    const auto offered = offered_.find(member.id);
    const uint64_t known = std::max(core_->MatchIndex(member.id),
                                    offered == offered_.end() ? uint64_t{0} : offered->second);
    // With the last one that it has: an append tells that one's term.
    const uint64_t needed_from = std::max<uint64_t>(known, 1);
    if (known >= snapshot_index || needed_from < log_.first_index()) continue;
    const uint64_t needed = snapshot_index - needed_from + 1;
    if (needed <= most) keep = std::max(keep, needed);
  }
  return static_cast<uint32_t>(keep);
}

bool Driver::FinishTake(const SnapshotPtr& snapshot, uint32_t trailing) {
  const uint64_t index = snapshot->metadata.last_index();
  if (status_.installing || index <= status_.snapshot_index || index <= status_.offset) return true;
  if (!Handle(core_->TookSnapshot(NowMs(), snapshot->metadata, trailing), {})) return false;
  snapshot_ = snapshot;
  log_.TrimTo(status_.offset);
  return true;
}

void Driver::SendSnapshot(OutgoingMessage out) {
  if (!snapshot_) return;  // the core asks again
  pb::InstallSnapshot* install = out.message.mutable_install_snapshot();
  install->set_sent_ns(host_->NowNs());
  out.message.set_from_address(OwnAddress());
  *install->mutable_metadata() = snapshot_->metadata;
  install->set_not_inline(1);
  install->set_size_bytes(snapshot_->sum.size_bytes);
  install->set_crc32c(snapshot_->sum.crc32c);
  offered_[out.to.id] = snapshot_->metadata.last_index();
  SendOut(out.to, out.message);
}

// The core's own conditions for installing one.
bool Driver::NeedsSnapshot(const pb::SnapshotMetadata& metadata) const {
  const uint64_t index = metadata.last_index();
  if (index <= status_.snapshot_index) return false;
  if (index < log_.first_index() || index > log_.last_index()) return true;
  return log_.At(index)->term() != metadata.last_term();
}

void Driver::ReceiveSnapshot(const Member& from, const pb::PeerMessage& message) {
  const pb::InstallSnapshot& install = message.install_snapshot();
  NoteLeader(from.id, message.term(), install.sent_ns());
  if (!NeedsSnapshot(install.metadata())) {
    StepReceived(from, message, {});
    return;
  }
  const SnapshotSum sum{install.size_bytes(), install.crc32c()};
  const uint64_t index = install.metadata().last_index();
  if (fetched_.snapshot && fetched_.snapshot->sum == sum &&
      fetched_.snapshot->metadata.last_index() == index) {
    received_ = std::exchange(fetched_.snapshot, nullptr);
    installing_state_ = std::exchange(fetched_.state, nullptr);
    StepReceived(from, message, {});
    received_ = nullptr;
    return;
  }
  if (fetching_) return;
  // Another member's file of the same may be whole.
  const bool again =
      from.id == fetch_from_.id && OffersSame(install, fetch_offer_.install_snapshot());
  if (again && host_->NowNs() < fetch_not_before_ns_) return;
  if (!again) damaged_pause_ns_ = 0;
  fetched_ = {};
  auto wanted = std::make_shared<Snapshot>();
  wanted->metadata = install.metadata();
  wanted->sum = sum;
  fetching_ = true;
  fetch_from_ = from;
  fetch_offer_ = message;
  host_->StartFetch(from, std::move(wanted));
}

void Driver::FetchDone(const StatusOr<Fetched>& fetched) {
  fetching_ = false;
  if (!failure_.ok()) return;
  // No fetch makes it one that this program can load.
  if (fetched.status().code() == StatusCode::kFailedPrecondition) return Fail(fetched.status());
  if (!fetched.ok()) return PostponeFetch(fetched.status());
  damaged_pause_ns_ = fetch_not_before_ns_ = 0;
  fetched_ = *fetched;
  // The offer stands as long as its leader does; after that, the next leader's may be of the same.
  if (fetch_offer_.term() != status_.term) return;
  if (!ReasonToDrop(status_, core_->MatchIndex(fetch_from_.id), fetch_offer_).empty()) return;
  ReceiveSnapshot(fetch_from_, fetch_offer_);
}

void Driver::PostponeFetch(const Status& error) {
  fetch_not_before_ns_ = host_->NowNs() + kRetryFetchNs;
  if (error.code() != StatusCode::kDataLoss) return;
  damaged_pause_ns_ = std::clamp(2 * damaged_pause_ns_, kDamagedPauseNs, kMostDamagedPauseNs);
  fetch_not_before_ns_ = host_->NowNs() + damaged_pause_ns_;
  FL_LOG(error,
         "raft member {}: the snapshot at {} that member {} at {} offers came damaged, and is not "
         "fetched again for {} s: {}",
         options_.id, fetch_offer_.install_snapshot().metadata().last_index(), fetch_from_.id,
         fetch_from_.address, damaged_pause_ns_ / kNanosPerSecond, ToString(error.message()));
}

void Driver::DropFetched() {
  if (!storage_problem_.ok()) return;  // it removes a file, which may hang too
  if (!fetched_.snapshot || fetched_.snapshot->metadata.last_index() > applied_index_) return;
  fetched_ = {};
}

bool Driver::FinishInstall(const SnapshotPtr& snapshot) {
  const pb::SnapshotMetadata& metadata = snapshot->metadata;
  machine_->Restore(metadata.last_index(), metadata.last_term(),
                    std::exchange(installing_state_, nullptr));
  snapshot_ = snapshot;
  applied_index_ = snapshot_index_ = metadata.last_index();
  applied_term_ = metadata.last_term();
  bytes_since_snapshot_ = bytes_in_take_ = 0;
  ForgetFailedTakes();  // a whole one has been written
  configurations_.Reset(metadata.configuration_index(), metadata.configuration());
  MembersChanged();
  return Handle(core_->PersistedSnapshot(NowMs(), metadata), {});
}

}  // namespace faultline::raft
