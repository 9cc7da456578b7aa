// Gives this node's state to a client as the bytes of a saved snapshot (raft/snapshot_codec.h),
// while the node goes on.
//
// Threads: every method may be called from any thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "base/strand.h"
#include "chaos/v1/cluster.pb.h"
#include "server/leader_client.h"
#include "server/overload.h"

namespace faultline::server {

class SnapshotSaver {
 public:
  // Both outlive the object's last call.
  SnapshotSaver(uint64_t node_id, ControlPlane* plane, LeaderClient* leader)
      : node_id_(node_id), plane_(plane), leader_(leader) {}
  // All that was begun has been let go of.
  ~SnapshotSaver() { strand_.Stop(); }

  // One snapshot on its way. It is written on a thread of the saver's, some pieces ahead of the
  // reader at most; letting go of it ends that.
  class Save {
   public:
    virtual ~Save() = default;
    // The next message; nothing: not yet. OUT_OF_RANGE at the end; DEADLINE_EXCEEDED when the
    // reader has taken nothing for too long.
    virtual StatusOr<std::optional<chaos::v1::SaveSnapshotResponse>> Next() = 0;
  };
  // `wake` is called whenever Next has something again. RESOURCE_EXHAUSTED / TOO_MANY_SAVES while
  // there is another; errors of LeaderClient::CatchUp unless `stale`.
  void Begin(const CallContext& context, bool stale, std::function<void()> wake,
             Done<std::shared_ptr<Save>> done);

 private:
  class Pipe;
  void Write(const std::shared_ptr<Pipe>& pipe, bool stale, SavedImage saved);

  const uint64_t node_id_;
  ControlPlane* const plane_;
  LeaderClient* const leader_;
  Gate gate_{{"snapshots being saved", "TOO_MANY_SAVES", 1, 0, 1}};
  Strand strand_{"fl-saves"};
};

}  // namespace faultline::server
