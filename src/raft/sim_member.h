// One member of a SimCluster: its disk, its state machine, and its driver's world. For tests.
#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "base/clock.h"
#include "raft/load_snapshot.h"
#include "raft/memory_snapshot.h"
#include "raft/sim_cluster.h"
#include "raft/sim_disk.h"

namespace faultline::raft {

inline uint64_t Mix(uint64_t digest, std::string_view bytes) {
  for (const char c : bytes) digest = (digest ^ static_cast<uint8_t>(c)) * 0x100000001b3ULL;
  return digest;
}

// A member's machine, disk and driver; the driver is null while the member is down.
struct SimCluster::Member final : StateMachine, Driver::Host {
  Member(SimCluster* in, uint64_t own_id) : cluster(in), id(own_id) {}

  std::string Apply(uint64_t index, uint64_t, std::string_view command, bool) override {
    digest = Mix(digest, command);
    cluster->NoteState(index, digest, std::string(command));
    return std::string(command);
  }
  void Advance(uint64_t index, uint64_t) override { cluster->NoteState(index, digest, ""); }
  std::shared_ptr<const StateImage> Capture() override {
    return std::make_shared<const TextImage>(
        std::string(reinterpret_cast<const char*>(&digest), sizeof digest));
  }
  StatusOr<std::shared_ptr<LoadedState>> Load(ByteSource& source) const override {
    return LoadText(source);
  }
  void Restore(uint64_t index, uint64_t, std::shared_ptr<LoadedState> state) override {
    std::memcpy(&digest, TextOf(*state).data(), sizeof digest);
    if (driver->core_status().term > 0) ++cluster->snapshots_installed_;
    if (cluster->applied_[index].digest != digest) {
      cluster->Violate(fmt::format("member {} restored another state at {}", id, index));
    }
  }

  uint64_t NowNs() const override { return cluster->now_ns_ + clock_ahead_ns; }
  void StartWrite(LogWrite write) override {
    uint64_t delay = cluster->Between(kNanosPerMilli / 10, 3 * kNanosPerMilli);
    if (cluster->faults_.slow_disks && cluster->Chance(0.05)) {
      delay = cluster->Between(1, 100) * kNanosPerMilli;
    }
    if (cluster->faults_.hanging_disks && cluster->Chance(0.0005)) {
      delay = cluster->Between(2, 6) * kNanosPerSecond;
    }
    // Crashes during a write, and above all during those of votes, find what is told too early.
    if (cluster->faults_.crashes && cluster->Chance(write.hard_state ? 0.1 : 0.004)) {
      cluster->CrashSoon(id, cluster->Between(0, delay), cluster->Between(0, 5) * kNanosPerMilli);
    }
    writing = std::make_shared<LogWrite>(std::move(write));
    cluster->At(cluster->now_ns_ + delay, [this, written = writing, begun_in = life] {
      if (begun_in != life || driver == nullptr) return;
      disk.Apply(*written);
      writing = nullptr;
      driver->WriteDone(absl::OkStatus());
      cluster->AfterStep(*this);
    });
  }
  void StartSnapshot(pb::SnapshotMetadata metadata,
                     std::shared_ptr<const StateImage> image) override {
    Later(cluster->Between(kNanosPerMilli, 50 * kNanosPerMilli),
          [this, snapshot = MakeSnapshot(metadata, *image)] { driver->SnapshotDone(snapshot); });
  }
  void StartFetch(const raft::Member& from, SnapshotPtr wanted) override {
    const uint64_t source = from.id;
    Later(cluster->Between(kNanosPerMilli, 300 * kNanosPerMilli), [this, source, wanted] {
      const SnapshotPtr& found = cluster->members_[source]->disk.snapshot;
      if (cluster->Chance(0.2) || !found || found->sum != wanted->sum) {
        driver->FetchDone(MakeError(StatusCode::kUnavailable, "the fetch was interrupted"));
        return;
      }
      auto state = LoadSnapshot(*found, *this);
      if (!state.ok()) return cluster->Violate(state.status().ToString());
      driver->FetchDone(Driver::Fetched{found, *std::move(state)});
    });
  }
  // In this life of the member.
  void Later(uint64_t delay_ns, std::function<void()> run) {
    cluster->At(cluster->now_ns_ + delay_ns, [this, run = std::move(run), begun_in = life] {
      if (begun_in != life || driver == nullptr) return;
      run();
      cluster->AfterStep(*this);
    });
  }
  void Send(const raft::Member& to, std::string message) override {
    cluster->Transmit(id, to.id, std::move(message));
  }

  SimCluster* const cluster;
  const uint64_t id;
  uint64_t clock_ahead_ns = 0;  // clocks of members have nothing to do with each other
  uint64_t digest = 0;
  uint64_t life = 0;  // grows with every start
  uint64_t armed_ns = 0;
  SimDisk disk;
  std::shared_ptr<LogWrite> writing;
  std::unique_ptr<Driver> driver;
};

}  // namespace faultline::raft
