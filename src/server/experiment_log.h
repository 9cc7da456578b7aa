// What becomes of experiments, in this node's log, each line with its experiment_id and request_id.
// What clients asked for is logged by the node that they asked (experiment_service.cc); all that
// happens then is logged by the leader at info, once in the cluster, and by the others at debug.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "server/control_plane.h"

namespace faultline::server {

// Finds out what is new by what it was told before. Not thread-safe.
class ExperimentLog {
 public:
  // An experiment has changed. `loud`: as a leader tells it.
  void OnChange(const chaos::v1::Experiment& experiment, bool loud);
  // Everything is another state: what has happened in it is no news.
  void Restart(const control::State& state);

 private:
  struct Told {
    bool active = false;
    bool expiring = false;
    int lost = 0;
    int refused = 0;
  };
  static Told Happened(const chaos::v1::Experiment& experiment, const Told& before);

  std::map<std::string, Told> told_;  // of what has not ended, by id
};

// For ControlPlane::Observe. A leader tells what was committed since this node was started: the
// terms before told theirs.
std::function<void(const Change&)> LogExperiments(const ControlPlane* plane);

}  // namespace faultline::server
