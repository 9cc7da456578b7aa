// What delays on a loopback device need of the host.
//
// A packet on loopback carries the route it was sent with, and is taken in by that. One that a lane
// has held comes back without, so the kernel looks a route up, as for a packet from outside; and
// from outside it takes neither 127.0.0.0/8 (setting route_localnet) nor the host's own addresses
// as senders (accept_local). IPv6 has no such rule. Both settings are the loopback device's own
// here, so nothing changes for packets that do come from outside.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "bpf/sysctl.h"
#include "faults/driver.h"

namespace faultline::network {

// While it exists, the namespace's loopback device takes back what a lane held. The strand.
class LoopbackRoutes {
 public:
  // Sets what is not set, each time with an undo record first (`undo` may be null, else it outlives
  // the object). FAILED_PRECONDITION naming the setting when the host does not allow it.
  static StatusOr<std::unique_ptr<LoopbackRoutes>> Open(const std::string& netns,
                                                        const std::string& interface,
                                                        faults::UndoLog* undo);
  // Gives the settings their former values, unless somebody else has changed them since.
  ~LoopbackRoutes();
  LoopbackRoutes(const LoopbackRoutes&) = delete;
  LoopbackRoutes& operator=(const LoopbackRoutes&) = delete;

 private:
  struct Change {
    bpf::SysctlChange setting;
    uint64_t undo = 0;  // 0: none
  };
  explicit LoopbackRoutes(faults::UndoLog* undo) : undo_(undo) {}
  Status Set(const std::string& netns, const std::string& key);
  // Of a setting that is on already: ours again, if it is only because we could not undo it.
  Status TakeBack(const bpf::SysctlChange& wanted);

  faults::UndoLog* const undo_;
  std::vector<Change> changes_;
};

}  // namespace faultline::network
