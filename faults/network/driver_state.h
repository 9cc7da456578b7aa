// What the driver knows of its targets and rules.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "chaos/v1/experiment.pb.h"
#include "faults/driver.h"
#include "faults/network/named_peers.h"
#include "faults/network/plan.h"

namespace faultline::network {

struct TargetState {
  chaos::v1::Target target;
  // However its network namespace was named: more is forbidden there.
  bool on_own_network = false;
  std::optional<uint64_t> cgroup_id;
  Status status;  // why it has no slot
  unsigned slot = 0;
  unsigned hook = 0;
  std::string lost;  // what has taken its last place from it, as the last look saw it
};

struct RuleState {
  unsigned index = 0;
  std::string config;  // type and bytes, and the seed
  uint64_t seed = 0;   // of the experiment
  unsigned nth = 0;    // which of the target's rules with this seed
  bool uses_lane = false;
  unsigned hook = 0;
  ActedAs acted;
  NamedPeers peers;
};

using RuleStates = std::map<faults::FaultKey, RuleState>;

using TargetStates = std::map<std::string, TargetState>;  // by id

// Last counters of faults that were disarmed, to be told once more.
class RetiredCounters {
 public:
  void Add(const std::string& target_id, chaos::v1::FaultCounters counters);
  // Moves a target's into its sample.
  void TellOf(const std::string& target_id, chaos::v1::TargetSample* sample);
  // Moves the others into samples of their own: their targets have lost their places.
  void TellRest(std::vector<chaos::v1::TargetSample>* samples);

 private:
  std::map<std::string, std::vector<chaos::v1::FaultCounters>> by_target_;
};

// What the kernel can do.
std::vector<chaos::v1::Capability> KernelCapabilities();

bool AreSame(const chaos::v1::Target& a, const chaos::v1::Target& b);

// OK while the target's cgroup, if it has one, is the one that it was. Else NOT_FOUND or
// UNAVAILABLE with what has happened.
Status SameCgroup(const TargetState& state);

// TargetState::slot of one more target. RESOURCE_EXHAUSTED when there is none.
StatusOr<unsigned> FreeSlot(const TargetStates& targets, const TargetState& mine);

// RuleState::nth of one more rule. FAILED_PRECONDITION, with the ids of the experiments, when the
// target carries as many faults as it can.
StatusOr<unsigned> FindRoom(const RuleStates& rules, const faults::ArmRequest& request);

}  // namespace faultline::network
