// Every fault group's driver, as one: made together, asked together. The agent's strand.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "chaos/v1/experiment.pb.h"
#include "chaos/v1/metrics.pb.h"
#include "faults/driver.h"

namespace faultline::agent {

// The fault groups that a program is built with (faults/drivers.cc, faults/registry.cc).
struct FaultGroups {
  std::function<StatusOr<std::vector<faults::NamedDriver>>(const faults::DriverContext&)>
      make_drivers;
  // Group of a fault kind; empty when unknown.
  std::function<std::string(const std::string& kind)> group_of;
  // Undoes what a driver recorded and could not undo itself (faults/undo.h).
  faults::UndoFunction undo;
};

class DriverSet {
 public:
  explicit DriverSet(const FaultGroups& groups) : groups_(groups) {}

  // Makes the drivers and asks what the kernel can do. Once.
  Status Make(const faults::DriverContext& context);

  // Lets the drivers revert and remove all that they made.
  void Clear() { drivers_.clear(); }

  // Shows the targets to every driver. True when other problems() or warnings() came of it than
  // before.
  bool SetTargets(const std::vector<chaos::v1::Target>& targets);
  // A driver had no time for all of them (faults::kUnderWay).
  bool unfinished() const { return unfinished_; }

  // Driver of a fault kind; nullptr when there is none.
  faults::Driver* Of(const std::string& kind) const;
  std::vector<faults::Driver*> All() const;

  std::vector<chaos::v1::TargetSample> ReadSamples();
  // Sums over the drivers.
  faults::DriverLoad Load() const;

  const std::vector<chaos::v1::Capability>& capabilities() const { return capabilities_; }
  // One sentence for each target that a driver cannot measure or fault now.
  const std::vector<std::string>& problems() const { return problems_; }
  // One sentence for each target of which packets may be kept from faults and measurements.
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  const FaultGroups groups_;
  std::vector<faults::NamedDriver> drivers_;
  std::vector<chaos::v1::Capability> capabilities_;
  std::vector<std::string> problems_, warnings_;
  bool unfinished_ = false;
};

}  // namespace faultline::agent
