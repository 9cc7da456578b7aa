// The agent itself: drivers, reconciler, lease, session, metrics and heartbeat on one strand.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/config.h"
#include "agent/driver_set.h"
#include "agent/guardian.h"
#include "agent/undo_journal.h"
#include "agent/v1/local.pb.h"
#include "base/status.h"

namespace faultline::http {
class Families;
}

namespace faultline::agent {

class Agent {
 public:
  // Makes the drivers, looks at the targets, and begins to connect. `guardian` and `journal`
  // outlive the agent. A target that cannot be measured now is no error: it is tried again, and
  // Status() says why.
  static StatusOr<std::unique_ptr<Agent>> Start(const Config& config, const FaultGroups& groups,
                                                Guardian* guardian, UndoJournal* journal);

  // Disarms everything, tells the control plane if it listens (waiting half a second at most), and
  // takes down all that the drivers made.
  ~Agent();
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  // For the local socket, from any thread but the strand.
  ::agent::v1::StatusResponse GetStatus();
  ::agent::v1::HaltResponse Halt();
  void Resume();

  // For scrapers and probes, from any thread: what is counted (of targets and faults a copy, to be
  // added later), and why the agent cannot arm faults now (empty: it can). `done` runs on the
  // strand.
  void Collect(std::function<void(http::Families)> done);
  void Readiness(std::function<void(std::vector<std::string>)> done);

 private:
  struct Impl;
  explicit Agent(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace faultline::agent
