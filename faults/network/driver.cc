#include "faults/network/driver.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "bpf/probe.h"
#include "faults/network/driver_state.h"
#include "faults/network/filter_plan.h"
#include "faults/network/hooks.h"
#include "faults/network/kernel.h"
#include "faults/network/lane.h"
#include "faults/network/lane_choice.h"
#include "faults/network/plan_units.h"
#include "faults/network/rule.h"
#include "faults/network/rule_numbers.h"
#include "faults/network/samples.h"
#include "faults/network/tables.h"

namespace faultline::network {
namespace {

using faults::ArmRequest;
using faults::FaultKey;

static_assert(sizeof(faults::LeasePage) == sizeof(fl_lease));

class NetworkDriver : public faults::Driver {
 public:
  NetworkDriver(std::unique_ptr<Kernel> kernel, std::unique_ptr<Lane> lane, LaneChoice lane_choice,
                uint64_t fq_bytes, faults::UndoLog* undo, bpf::AttachMode mode)
      : lane_choice_(lane_choice),
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
  Status Arm(const ArmRequest& request) override;
  Status Disarm(const FaultKey& key) override;
  std::vector<FaultKey> Armed() override;
  void ReadSamples(std::vector<chaos::v1::TargetSample>* samples) override;
  faults::DriverLoad Load() override { return lane_->Load() + fq_->Load(); }

 private:
  Status Begin(TargetState* state);
  // False when the target's interface or cgroup has gone, or another has its name now.
  bool IsThere(const TargetState& state) const;
  // The same for a rule's sake: many that come at once ask an interface once.
  bool WasThere(const TargetState& state);
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
  // Whether packets can meet the rule, if its hook is alive.
  bool Holds(const RuleState& rule) const {
    return tables_.IsSet(RuleBit(rule.index)) && (!rule.uses_lane || hooks_->HasLane(rule.hook));
  }

  const LaneChoice lane_choice_;
  std::unique_ptr<Kernel> kernel_;
  std::unique_ptr<Lane> lane_;
  std::unique_ptr<FqLanes> fq_;
  DropWatch drops_;
  Tables tables_;
  std::unique_ptr<Hooks> hooks_;
  std::map<std::string, TargetState> targets_;  // by id
  TargetSlots slots_;
  std::array<uint64_t, FL_MAX_HOOKS> there_ns_{};  // when a hook was seen there by WasThere
  RuleStates rules_;
  // Last counters of disarmed faults, told once more.
  std::map<std::string, std::vector<chaos::v1::FaultCounters>> retired_;
  RuleNumbers numbers_;
  HostNames names_;
};

std::vector<Status> NetworkDriver::SetTargets(const std::vector<chaos::v1::Target>& targets) {
  std::map<std::string, const chaos::v1::Target*> wanted;
  for (const auto& target : targets) wanted[target.target_id()] = &target;
  for (auto it = targets_.begin(); it != targets_.end();) {
    const auto same = wanted.find(it->first);
    const TargetState& state = it->second;
    const bool stays = same != wanted.end() && state.status.ok() &&
                       same->second->SerializeAsString() == state.serialized && IsThere(state);
    if (!stays) {
      End(state);
      it = targets_.erase(it);
    } else {
      ++it;
    }
  }
  std::vector<Status> statuses;
  for (const auto& target : targets) {
    const auto [it, fresh] = targets_.try_emplace(target.target_id());
    TargetState& state = it->second;
    if (fresh) {
      state.target = target;
      state.serialized = target.SerializeAsString();
      state.status = Begin(&state);
    }
    statuses.push_back(state.status);
  }
  hooks_->FindGateways();
  const Status watched = drops_.Watch(!targets_.empty());
  if (!watched.ok() && bpf::HasFeature("drop_reasons"))  // what it lacks is told as a capability
    FL_LOG(warn, "drops are not counted: {}", ToString(watched.message()));
  return statuses;
}

Status NetworkDriver::Begin(TargetState* state) {
  FL_ASSIGN_OR_RETURN(state->slot, slots_.Find());
  if (state->target.interface().empty()) {
    return MakeError(StatusCode::kFailedPrecondition, "target {} names no network interface",
                     state->target.target_id());
  }
  FL_ASSIGN_OR_RETURN(Filter filter, TargetFilter(state->target));
  if (filter.cgroup) state->cgroup_id = filter.cgroup->id;
  // Measuring goes by ports where there are any: a cgroup is not known on the way in.
  if (!state->target.ports().empty()) filter.cgroup.reset();
  FL_ASSIGN_OR_RETURN(state->hook,
                      hooks_->Acquire(state->target.netns(), state->target.interface()));
  filter.hook = state->hook;
  ClearSample(kernel_.get(), &drops_, state->slot);
  const Status status = tables_.Set(TargetBit(state->slot), filter);
  if (!status.ok()) hooks_->Release(state->hook);
  slots_.taken[state->slot] = status.ok();
  return status;
}

bool NetworkDriver::IsThere(const TargetState& state) const {
  if (!hooks_->Alive(state.hook)) return false;
  if (!state.cgroup_id) return true;
  const auto filter = TargetFilter(state.target);
  return filter.ok() && filter->cgroup && filter->cgroup->id == *state.cgroup_id;
}

bool NetworkDriver::WasThere(const TargetState& state) {
  constexpr uint64_t kLatelyNs = 5 * kNanosPerMilli;
  uint64_t& there_ns = there_ns_[state.hook];
  if (!state.cgroup_id && MonotonicNowNs() - there_ns < kLatelyNs) return true;
  if (!IsThere(state)) return false;
  there_ns = MonotonicNowNs();
  return true;
}

void NetworkDriver::End(const TargetState& state) {
  const std::string& id = state.target.target_id();
  for (auto it = FirstOf(rules_, id); it != rules_.end() && it->first.target_id == id;)
    (void)Disarm(FaultKey((it++)->first));
  retired_.erase(id);
  if (!state.status.ok()) return;
  tables_.Clear(TargetBit(state.slot));
  slots_.taken[state.slot] = false;
  ClearSample(kernel_.get(), &drops_, state.slot);
  hooks_->Release(state.hook);
}

Status NetworkDriver::Arm(const ArmRequest& request) {
  const auto target = targets_.find(request.key.target_id);
  if (target == targets_.end()) {
    return MakeError(StatusCode::kNotFound, "this agent has no target '{}'", request.key.target_id);
  }
  FL_RETURN_IF_ERROR(target->second.status);
  if (!WasThere(target->second)) {
    return MakeError(StatusCode::kUnavailable, "the interface or cgroup of target '{}' has gone",
                     request.key.target_id);
  }
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
  FL_ASSIGN_OR_RETURN(const RulePlan plan, PlanRule(request.config, target.target, seed));
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
  tables_.rule(rule->index) = ToKernelRule(plan, request, seed);
  Status status = absl::OkStatus();
  if (rule->uses_lane) {
    status = bpf::RequireFeature("tun");
    if (status.ok()) status = hooks_->AcquireLane(rule->hook, rule->lane_use);
    rule->uses_lane = status.ok();
    if (status.ok()) lane_->SetRule(rule->index, *action.lane, request.deadline_boottime_ns);
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
  retired_[key.target_id].push_back(CountersOf(key, rule));
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
  std::map<unsigned, bool> alive;
  std::vector<FaultKey> armed;
  for (const auto& [key, rule] : rules_) {
    const auto [it, fresh] = alive.try_emplace(rule.hook, false);
    if (fresh) it->second = hooks_->Alive(rule.hook);
    if (it->second && Holds(rule)) armed.push_back(key);
  }
  return armed;
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
    for (auto it = FirstOf(rules_, id); it != rules_.end() && it->first.target_id == id; ++it) {
      *sample.add_faults() = CountersOf(it->first, it->second);
    }
    for (const auto& counters : retired_[id]) *sample.add_faults() = counters;
    retired_[id].clear();
  }
}

}  // namespace

StatusOr<std::unique_ptr<faults::Driver>> MakeNetworkDriver(const faults::DriverContext& context,
                                                            const DriverOptions& options) {
  FL_RETURN_IF_ERROR(bpf::RequireRoot());
  for (const char* feature : {"btf", "tc", "ringbuf"})
    FL_RETURN_IF_ERROR(bpf::RequireFeature(feature));
  FL_ASSIGN_OR_RETURN(const LaneChoice choice, ChooseLane(options.lane.value_or(context.lane)));
  FL_ASSIGN_OR_RETURN(std::unique_ptr<Kernel> kernel, Kernel::Load());
  FL_ASSIGN_OR_RETURN(
      std::unique_ptr<Lane> lane,
      Lane::Start(&kernel->counters(0), kernel->parked(), &kernel->tables()->lane_cuts));
  if (context.on_lease_page) {
    context.on_lease_page(kernel->map_fd("fl_lease"),
                          reinterpret_cast<faults::LeasePage*>(kernel->lease()));
  }
  const auto best = bpf::HasFeature("tcx") ? bpf::AttachMode::kTcx : bpf::AttachMode::kClsact;
  size_t own_ports = 0;
  for (const uint16_t port : context.own_ports) {
    if (own_ports < FL_OWN_PORTS) kernel->tables()->own_port[own_ports++] = port;
  }
  return std::make_unique<NetworkDriver>(std::move(kernel), std::move(lane), choice,
                                         options.fq_bytes, context.undo,
                                         options.attach_mode.value_or(best));
}

}  // namespace faultline::network
