// The leader's part that raises the cluster's version (control/version.h) to the highest that every
// member of the newest configuration has said that it can apply. Runs on every node, and does
// nothing where the node does not lead.
//
// Threads: every method may be called from any thread; the work is done on the strand.
#pragma once

#include <map>
#include <mutex>
#include <vector>

#include "base/strand.h"
#include "server/control_plane.h"

namespace faultline::server {

class VersionSwitch {
 public:
  // The strand and the plane outlive the object.
  VersionSwitch(uint64_t node_id, Strand* strand, ControlPlane* plane);

  // The members, voters and learners, as they are now.
  void SetMembers(std::vector<uint64_t> ids);
  // A member can apply commands up to `version`.
  void Report(uint64_t node_id, uint32_t version);
  // Begins to look, once a second.
  void Start();

 private:
  struct Word {
    uint32_t version = 0;
    uint64_t at_ns = 0;
  };

  void Tick();
  // What every member has said lately that it can apply; 0 when one is silent.
  uint32_t CommonVersion(uint64_t now_ns);
  // Logs now and then who keeps the cluster at `version`, once that has lasted for a while.
  void TellWhoHoldsBack(uint32_t version, uint64_t now_ns);

  const uint64_t node_id_;
  Strand* const strand_;
  ControlPlane* const plane_;
  bool proposing_ = false;
  uint64_t held_since_ns_ = 0;  // 0: nothing holds the version back
  uint64_t told_ns_ = 0;        // 0: not told since then
  std::mutex mutex_;
  std::vector<uint64_t> members_;
  std::map<uint64_t, Word> words_;  // by member
};

}  // namespace faultline::server
