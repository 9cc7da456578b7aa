// What the driver knows of its targets and rules.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "base/status.h"
#include "chaos/v1/experiment.pb.h"
#include "faults/driver.h"
#include "faults/network/fq_lanes.h"
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

// Places of targets in the kernel's tables.
struct TargetSlots {
  // One that is not taken. RESOURCE_EXHAUSTED when all are.
  StatusOr<unsigned> Find() const;

  std::bitset<FL_MAX_TARGETS> taken;
};

// How long a rule holds each packet that it means, by direction.
using HoldTimes = std::array<uint64_t, 2>;

struct RuleState {
  unsigned index = 0;
  std::string config;  // type and bytes, and the seed
  uint64_t seed = 0;   // of the experiment
  unsigned nth = 0;    // which of the target's rules with this seed
  bool uses_lane = false;
  LaneUse lane_use;
  HoldTimes holds_ns{};
  unsigned hook = 0;
  ActedAs acted;
  NamedPeers peers;
};

// Those of one target stand together.
struct ByTarget {
  bool operator()(const faults::FaultKey& a, const faults::FaultKey& b) const {
    return std::tie(a.target_id, a.experiment_id, a.fault_index) <
           std::tie(b.target_id, b.experiment_id, b.fault_index);
  }
};
using RuleStates = std::map<faults::FaultKey, RuleState, ByTarget>;
// The first rule of that target; those behind it are its others.
RuleStates::const_iterator FirstOf(const RuleStates& rules, const std::string& target_id);

using TargetStates = std::map<std::string, TargetState>;  // by id

// Adds what a fault's packets have waited, if any have.
void AddDelays(chaos::v1::FaultDelays delays, chaos::v1::TargetSample* sample);

// Of a target that is measured one way (faults::IsMeasuredOneWay): says why it has no times, and
// leaves out the handshakes of which the programs see one half only.
void TellOneWay(chaos::v1::TargetSample* sample);

// Last counters and delays of faults that were disarmed, to be told once more.
class RetiredCounters {
 public:
  void Add(const std::string& target_id, chaos::v1::FaultCounters counters,
           chaos::v1::FaultDelays delays);
  // Moves a target's into its sample.
  void TellOf(const std::string& target_id, chaos::v1::TargetSample* sample);
  // Moves the others into samples of their own: their targets have lost their places.
  void TellRest(std::vector<chaos::v1::TargetSample>* samples);

 private:
  std::map<std::string, chaos::v1::TargetSample> by_target_;  // with nothing else in them
};

bool AreSame(const chaos::v1::Target& a, const chaos::v1::Target& b);

// OK while the target's cgroup, if it has one, is the one that it was. Else NOT_FOUND or
// UNAVAILABLE with what has happened.
Status SameCgroup(const TargetState& state);

// RuleState::nth of one more rule, or of one that takes the place of the rule of the same key.
// FAILED_PRECONDITION, with the ids of the experiments, when the target carries as many faults as
// it can.
StatusOr<unsigned> FindRoom(const RuleStates& rules, const faults::ArmRequest& request);

// What the faults of a target may hold one packet altogether.
inline constexpr uint64_t kMaxHeldNs = DelayModel::kMaxDelayNs;
// FAILED_PRECONDITION, with the ids of the experiments and the sum, when a rule of that key, beside
// the target's others (not the one of the same key), comes to more.
Status CheckHolds(const RuleStates& rules, const faults::FaultKey& key, const HoldTimes& holds_ns);

}  // namespace faultline::network
