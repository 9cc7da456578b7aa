// Records each ended experiment's report through Raft, from the parts that nodes have.
//
// Threads: the strand given owns it.
#pragma once

#include <set>
#include <string>

#include "base/strand.h"
#include "server/leader_client.h"
#include "server/recorder.h"

namespace faultline::server {

class Reporter {
 public:
  // All outlive the object's last task on the strand.
  Reporter(Strand* strand, ControlPlane* plane, LeaderClient* leader, Recorder* recorder)
      : strand_(strand), plane_(plane), leader_(leader), recorder_(recorder) {}

  // Begins to look, twice a second. From any thread.
  void Start();

 private:
  void Tick();
  void Record(control::v1::RecordReport part);

  Strand* const strand_;
  ControlPlane* const plane_;
  LeaderClient* const leader_;
  Recorder* const recorder_;
  std::set<std::string> under_way_;  // experiments
};

}  // namespace faultline::server
