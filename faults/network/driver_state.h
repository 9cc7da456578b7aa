// What the driver knows of its targets and rules.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/status.h"
#include "chaos/v1/experiment.pb.h"
#include "faults/driver.h"
#include "faults/network/fq_lanes.h"
#include "faults/network/named_peers.h"
#include "faults/network/plan.h"

namespace faultline::network {

struct TargetState {
  chaos::v1::Target target;
  std::string serialized;
  std::optional<uint64_t> cgroup_id;
  Status status;  // why it has no slot
  unsigned slot = 0;
  unsigned hook = 0;
};

struct RuleState {
  unsigned index = 0;
  std::string config;  // type and bytes, and the seed
  uint64_t seed = 0;   // of the experiment
  unsigned nth = 0;    // which of the target's rules with this seed
  bool uses_lane = false;
  LaneUse lane_use;
  unsigned hook = 0;
  ActedAs acted;
  NamedPeers peers;
};

using RuleStates = std::map<faults::FaultKey, RuleState>;

// RuleState::nth of one more rule. FAILED_PRECONDITION, with the ids of the experiments, when the
// target carries as many faults as it can.
StatusOr<unsigned> FindRoom(const RuleStates& rules, const faults::ArmRequest& request);

}  // namespace faultline::network
