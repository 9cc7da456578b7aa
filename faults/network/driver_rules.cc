// Faults on targets that are there: their rules, and what these have done.
#include "base/clock.h"
#include "bpf/probe.h"
#include "faults/network/network_driver.h"
#include "faults/network/plan_units.h"
#include "faults/network/rule.h"

namespace faultline::network {
namespace {

// Memory of a target's counters that nobody has used for so long, or up to twice as long, is taken
// from it, and is for others so long after that.
constexpr uint64_t kIdleNs = 60 * kNanosPerSecond;

HoldTimes HoldTimesOf(const RulePlan& plan) {
  const uint64_t hold_ns = plan.action.lane ? HoldNs(*plan.action.lane) : 0;
  return {plan.filter.egress ? hold_ns : 0, plan.filter.ingress ? hold_ns : 0};
}

}  // namespace

Status NetworkDriver::Arm(const ArmRequest& request) {
  const auto target = targets_.find(request.key.target_id);
  if (target == targets_.end()) {
    return MakeError(StatusCode::kNotFound, "this agent has no target '{}'", request.key.target_id);
  }
  FL_RETURN_IF_ERROR(FollowLately(&target->second));
  RuleState rule;
  rule.config = request.config.SerializeAsString() + std::to_string(request.seed);
  const auto known = rules_.find(request.key);
  if (known != rules_.end() && known->second.config == rule.config && Holds(known->second)) {
    const unsigned index = known->second.index;
    tables_.rule(index).deadline_ns = request.deadline_boottime_ns;
    if (known->second.uses_lane) lane_->SetDeadline(index, request.deadline_boottime_ns);
    return absl::OkStatus();
  }
  const RuleState* old = known != rules_.end() ? &known->second : nullptr;
  const Status made = MakeRule(request, target->second, old, &rule);
  if (!made.ok()) (void)Disarm(request.key);
  FL_RETURN_IF_ERROR(made);
  if (old != nullptr) Retire(request.key, *old);
  rules_.insert_or_assign(request.key, std::move(rule));
  return absl::OkStatus();
}

Status NetworkDriver::MakeRule(const ArmRequest& request, const TargetState& target,
                               const RuleState* old, RuleState* rule) {
  rule->seed = request.seed;
  FL_ASSIGN_OR_RETURN(rule->nth, FindRoom(rules_, request));
  const uint64_t seed = ChoiceSeed(request.seed, rule->nth);
  chaos::v1::Target planned = target.target;
  if (target.on_own_network) planned.clear_netns();
  FL_ASSIGN_OR_RETURN(const RulePlan plan, PlanRule(request.config, planned, seed));
  rule->holds_ns = HoldTimesOf(plan);
  FL_RETURN_IF_ERROR(CheckHolds(rules_, request.key, rule->holds_ns));
  Filter filter = plan.filter;
  filter.hook = target.hook;
  rule->peers = NamedPeers(filter, plan.hosts);
  FL_RETURN_IF_ERROR(rule->peers.Fill(&names_, &filter));
  const ActionPlan& action = plan.action;
  FL_ASSIGN_OR_RETURN(rule->index, numbers_.Take(ShapeOf(filter), old ? &old->index : nullptr));
  rule->hook = target.hook;
  rule->uses_lane = action.lane.has_value();
  rule->lane_use = {rule->index, action.hold_ns != 0, plan.Picks()};
  rule->acted = action.acted;
  kernel_->counters(rule->index) = fl_counters{};
  kernel_->delay_times().Open(rule->index);
  // Of a rule whose place this one takes the connections that were new still are.
  const uint64_t armed_ns = old != nullptr ? tables_.rule(old->index).armed_ns : BoottimeNowNs();
  tables_.rule(rule->index) = ToKernelRule(plan, request, seed);
  tables_.rule(rule->index).armed_ns = armed_ns;
  Status status = absl::OkStatus();
  if (rule->uses_lane) {
    status = bpf::RequireFeature("tun");
    if (status.ok()) status = hooks_->AcquireLane(rule->hook, rule->lane_use);
    rule->uses_lane = status.ok();
    if (status.ok())
      lane_->SetRule(rule->index, rule->hook, *action.lane, request.deadline_boottime_ns);
  }
  const unsigned bit = RuleBit(rule->index);
  const unsigned replaced = old != nullptr ? RuleBit(old->index) : bit;
  if (status.ok()) status = tables_.Replace(replaced, bit, filter);
  if (!status.ok()) LetGo(*rule);
  return status;
}

void NetworkDriver::LetGo(const RuleState& rule) {
  numbers_.GiveBack(rule.index);
  if (!rule.uses_lane) return;
  lane_->ClearRule(rule.index);
  hooks_->ReleaseLane(rule.hook, rule.lane_use);
}

void NetworkDriver::Retire(const FaultKey& key, const RuleState& rule) {
  LetGo(rule);
  retired_.Add(key.target_id, CountersOf(key, rule), DelaysOf(key, rule));
  kernel_->delay_times().Close(rule.index);
}

chaos::v1::FaultDelays NetworkDriver::DelaysOf(const FaultKey& key, const RuleState& rule) {
  chaos::v1::FaultDelays delays = kernel_->delay_times().Take(rule.index);
  delays.set_experiment_id(key.experiment_id);
  delays.set_fault_index(key.fault_index);
  return delays;
}

Status NetworkDriver::Disarm(const FaultKey& key) {
  const auto found = rules_.find(key);
  if (found == rules_.end()) return absl::OkStatus();
  tables_.Clear(RuleBit(found->second.index));
  Retire(found->first, found->second);
  rules_.erase(found);
  return absl::OkStatus();
}

std::vector<FaultKey> NetworkDriver::Armed() {
  Hooks::Look look;
  std::vector<FaultKey> armed;
  for (const auto& [key, rule] : rules_) {
    if (Holds(rule) && StillThere(targets_.at(key.target_id), &look).ok()) armed.push_back(key);
  }
  return armed;
}

std::string NetworkDriver::WhyGone(const FaultKey& key) const {
  const auto target = targets_.find(key.target_id);
  return target == targets_.end() ? "" : target->second.lost;
}

void NetworkDriver::ReadSamples(std::vector<chaos::v1::TargetSample>* samples) {
  for (auto& [key, rule] : rules_) rule.peers.Follow(&names_, &tables_, RuleBit(rule.index));
  hooks_->TendLanes();
  lane_->CountLosses();
  for (const auto& [id, state] : targets_) {
    if (!state.status.ok()) continue;
    chaos::v1::TargetSample& sample =
        samples->emplace_back(TakeSample(kernel_.get(), &drops_, state.slot));
    sample.set_target_id(id);
    if (faults::IsMeasuredOneWay(state.target)) TellOneWay(&sample);
    retired_.TellOf(id, &sample);  // before those of the same fault that is armed anew
    for (auto it = FirstOf(rules_, id); it != rules_.end() && it->first.target_id == id; ++it) {
      *sample.add_faults() = CountersOf(it->first, it->second);
      AddDelays(DelaysOf(it->first, it->second), &sample);
    }
  }
  retired_.TellRest(samples);
  const uint64_t now_ns = MonotonicNowNs();
  if (now_ns - idle_freed_ns_ < kIdleNs) return;
  idle_freed_ns_ = now_ns;
  kernel_->FreeIdleCounters();
}

}  // namespace faultline::network
