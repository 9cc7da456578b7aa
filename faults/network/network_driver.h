// The driver of network faults itself: which targets it is at (driver.cc), and which rules it holds
// there (driver_rules.cc). Includes what faults/network/driver.h hides.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "faults/driver.h"
#include "faults/network/driver_state.h"
#include "faults/network/drops.h"
#include "faults/network/fq_lanes.h"
#include "faults/network/hooks.h"
#include "faults/network/host_names.h"
#include "faults/network/kernel.h"
#include "faults/network/lane.h"
#include "faults/network/lane_choice.h"
#include "faults/network/rule_numbers.h"
#include "faults/network/samples.h"
#include "faults/network/tables.h"

namespace faultline::network {

using faults::ArmRequest;
using faults::FaultKey;

// One thread.
class NetworkDriver : public faults::Driver {
 public:
  NetworkDriver(std::unique_ptr<Kernel> kernel, std::unique_ptr<Lane> lane, LaneChoice lane_choice,
                uint64_t fq_bytes, faults::UndoLog* undo, bpf::AttachMode mode, faults::GoOn go_on)
      : lane_choice_(lane_choice),
        go_on_(std::move(go_on)),
        kernel_(std::move(kernel)),
        lane_(std::move(lane)),
        fq_(std::make_unique<FqLanes>(kernel_.get(), undo, mode, lane_choice, fq_bytes)),
        drops_(kernel_.get()),
        tables_(kernel_->tables(), kernel_->map_fd("fl_prefixes"), kernel_->map_fd("fl_cgroups"),
                [this](unsigned chunk) { return kernel_->AddSets(chunk); }),
        hooks_(std::make_unique<Hooks>(kernel_.get(), lane_.get(), fq_.get(), undo, mode)) {}
  ~NetworkDriver() override { SetTargets({}); }

  std::vector<chaos::v1::Capability> Probe() override { return CapabilitiesWith(lane_choice_); }

  std::vector<Status> SetTargets(const std::vector<chaos::v1::Target>& targets) override;
  std::vector<std::string> Warnings() const override;
  Status Arm(const ArmRequest& request) override;
  Status Disarm(const FaultKey& key) override;
  std::vector<FaultKey> Armed() override;
  std::string WhyGone(const FaultKey& key) const override;
  void ReadSamples(std::vector<chaos::v1::TargetSample>* samples) override;
  faults::DriverLoad Load() override;

 private:
  Status Begin(TargetState* state);
  // Sets `lost` of every target: why it is not where it was.
  void LookForLost();
  // Lets go of targets that are not among those or have lost their places; of the latter as many as
  // there is time for, the others keep their status. Result: whether there is time left.
  bool LetGoOfLost(const std::vector<chaos::v1::Target>& targets, uint64_t begun_ns);
  // OK while the target is where it was; else what has happened.
  Status StillThere(const TargetState& state, Hooks::Look* look) const;
  Status Follow(TargetState* state);  // looks, and goes after it when it has moved
  // The same for a rule's sake: many that come at once ask a name once.
  Status FollowLately(TargetState* state);
  // After targets were taken, or (`moved` is false) just looked at: what is protected where they
  // are, and whether drops are to be watched.
  void LookAround(bool moved);
  // Its last place. Its turn to get another comes with the rest of the look.
  void Leave(TargetState* state, const Status& why);
  void End(const TargetState& state);
  // `old` is what the rule takes the place of, from one packet to the next, or null.
  Status MakeRule(const ArmRequest& request, const TargetState& target, const RuleState* old,
                  RuleState* rule);
  // Gives back number and lane of a rule that matches nothing (any more).
  void LetGo(const RuleState& rule);
  // The same for one that has matched packets: its counters are told once more.
  void Retire(const FaultKey& key, const RuleState& rule);
  chaos::v1::FaultCounters CountersOf(const FaultKey& key, const RuleState& rule) const {
    return ToCounters(key, kernel_->counters(rule.index), rule.acted);
  }
  // Since the last call.
  chaos::v1::FaultDelays DelaysOf(const FaultKey& key, const RuleState& rule);
  // Whether packets can meet the rule, if its hook is alive.
  bool Holds(const RuleState& rule) const {
    return tables_.IsSet(RuleBit(rule.index)) && (!rule.uses_lane || hooks_->HasLane(rule.hook));
  }

  const LaneChoice lane_choice_;
  const faults::GoOn go_on_;
  std::unique_ptr<Kernel> kernel_;
  std::unique_ptr<Lane> lane_;
  std::unique_ptr<FqLanes> fq_;
  DropWatch drops_;
  Tables tables_;
  std::unique_ptr<Hooks> hooks_;
  TargetStates targets_;
  TargetSlots slots_;
  // Which hooks FollowLately has seen by which names, since when.
  std::set<std::pair<unsigned, TargetPlace>> there_;
  uint64_t there_ns_ = 0;
  uint64_t idle_freed_ns_ = 0;  // when idle counters gave back their memory
  RuleStates rules_;
  RetiredCounters retired_;
  RuleNumbers numbers_;
  HostNames names_;
};

}  // namespace faultline::network
