// Changes of experiments, for those who watch: a bounded history that every watcher reads at its
// own pace, and the state itself, read in parts, for those who ask for it. Revisions are log
// indexes, so that a watcher may go on at another node: what comes after a revision is the same on
// all of them.
//
// A watcher holds no queue of its own. One that is so slow that what it has not read yet leaves the
// history is cut off (COMPACTED), and lists again.
//
// Threads: every method may be called from any thread.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "chaos/v1/chaos.pb.h"
#include "server/control_plane.h"

namespace faultline::server {

class WatchHub {
 public:
  // Changes of single experiments that are kept, and how many bytes of them.
  static constexpr size_t kHistory = 10'000;
  static constexpr size_t kHistoryBytes = 64 << 20;
  // Experiments, and about how many bytes of them, in one message.
  static constexpr int kChunk = 200;
  static constexpr size_t kChunkBytes = 1 << 20;
  // A watcher that was told nothing for so many changes is told how far it has come.
  static constexpr uint64_t kBookmarkEvery = 1'000;

  // `waker` runs the watchers' on_change; it and the plane outlive the hub.
  WatchHub(ControlPlane* plane, Strand* waker) : plane_(plane), waker_(waker) {}

  class Watcher {
   public:
    virtual ~Watcher() = default;  // ends the watching
    // The next message; nothing now: `on_change` will be called. OUT_OF_RANGE with reason
    // COMPACTED, FAILED_PRECONDITION with reason OTHER_CLUSTER: the watching is over. One thread at
    // a time.
    virtual StatusOr<std::optional<chaos::v1::WatchExperimentsResponse>> Next() = 0;
  };

  // The present state first, or, with request.after_revision, exactly every change after it. The
  // hub outlives the result. `on_change` may still be called just after its end.
  std::unique_ptr<Watcher> Watch(const chaos::v1::WatchExperimentsRequest& request,
                                 std::function<void()> on_change);

  // What ControlPlane tells. Does not run on_change itself.
  void OnChange(const Change& change);

 private:
  class WatcherImpl;
  using OnReady = std::shared_ptr<const std::function<void()>>;
  struct Kept {
    Change change;
    size_t size_bytes = 0;
  };

  // The first change after `revision`, nothing when there is none; COMPACTED when some are
  // forgotten.
  StatusOr<std::optional<Change>> After(uint64_t revision) const;
  void Keep(const Change& change);
  // Who has not read that far lists again.
  void ForgetUpTo(uint64_t revision);
  void WakeAll();

  ControlPlane* const plane_;
  Strand* const waker_;
  mutable std::mutex mutex_;
  std::deque<Kept> history_;
  size_t kept_count_ = 0;  // experiments in the history
  size_t kept_bytes_ = 0;
  uint64_t forgotten_revision_ = 0;  // changes up to here may not be in the history
  bool waking_ = false;
  std::map<const WatcherImpl*, OnReady> watchers_;
};

}  // namespace faultline::server
