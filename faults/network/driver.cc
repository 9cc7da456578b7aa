#include "faults/network/driver.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/log.h"
#include "bpf/netns.h"
#include "bpf/probe.h"
#include "faults/network/driver_state.h"
#include "faults/network/filter_plan.h"
#include "faults/network/hooks.h"
#include "faults/network/kernel.h"
#include "faults/network/lane.h"
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
  NetworkDriver(std::unique_ptr<Kernel> kernel, std::unique_ptr<Lane> lane, faults::UndoLog* undo,
                bpf::AttachMode mode)
      : kernel_(std::move(kernel)),
        lane_(std::move(lane)),
        drops_(kernel_.get()),
        tables_(kernel_->tables(), kernel_->map_fd("fl_prefixes"), kernel_->map_fd("fl_cgroups")),
        hooks_(std::make_unique<Hooks>(kernel_.get(), lane_.get(), undo, mode)) {}
  ~NetworkDriver() override { SetTargets({}); }

  std::vector<chaos::v1::Capability> Probe() override { return KernelCapabilities(); }
  std::vector<Status> SetTargets(const std::vector<chaos::v1::Target>& targets) override;
  Status Arm(const ArmRequest& request) override;
  Status Disarm(const FaultKey& key) override;
  std::vector<FaultKey> Armed() override;
  std::string WhyGone(const FaultKey& key) const override;
  void ReadSamples(std::vector<chaos::v1::TargetSample>* samples) override;
  faults::DriverLoad Load() override { return lane_->Load(); }

 private:
  Status Begin(TargetState* state);
  using Seen = std::map<unsigned, Status>;  // of hooks, so that one look serves all on it
  // OK while the target is where it was; else what has happened.
  Status StillThere(const TargetState& state, Seen* seen) const;
  Status Follow(TargetState* state);                  // looks, and goes after it when it has moved
  void Leave(TargetState* state, const Status& why);  // its last place
  void End(const TargetState& state);
  Status MakeRule(const ArmRequest& request, const TargetState& target, RuleState* rule);
  chaos::v1::FaultCounters CountersOf(const FaultKey& key, const RuleState& rule) {
    return ToCounters(key, kernel_->counters(rule.index), rule.acted);
  }
  // Whether packets can meet the rule, if its hook is alive.
  bool Holds(const RuleState& rule) const {
    return tables_.IsSet(RuleBit(rule.index)) && (!rule.uses_lane || hooks_->HasLane(rule.hook));
  }

  std::unique_ptr<Kernel> kernel_;
  std::unique_ptr<Lane> lane_;
  DropWatch drops_;
  Tables tables_;
  std::unique_ptr<Hooks> hooks_;
  TargetStates targets_;
  RuleStates rules_;
  RetiredCounters retired_;
  RuleNumbers numbers_;
  HostNames names_;
};

std::vector<Status> NetworkDriver::SetTargets(const std::vector<chaos::v1::Target>& targets) {
  std::map<std::string, const chaos::v1::Target*> wanted;
  for (const auto& target : targets) wanted[target.target_id()] = &target;
  Seen seen;
  // First all that is let go of, so that it makes room.
  for (auto it = targets_.begin(); it != targets_.end();) {
    const auto same = wanted.find(it->first);
    TargetState& state = it->second;
    if (same == wanted.end() || !AreSame(*same->second, state.target)) {
      End(state);
      it = targets_.erase(it);
      continue;
    }
    state.lost.clear();
    const Status there = StillThere(state, &seen);
    if (state.status.ok() && !there.ok()) Leave(&state, there);
    ++it;
  }
  bool moved = false;
  std::vector<Status> statuses;
  for (const auto& target : targets) {
    const auto [it, fresh] = targets_.try_emplace(target.target_id());
    TargetState& state = it->second;
    if (fresh || !state.status.ok()) {
      state.target = target;
      state.status = Begin(&state);
      moved |= state.status.ok();
    }
    statuses.push_back(state.status);
  }
  hooks_->FindGateways(/*now=*/moved);
  if (moved || targets_.empty()) {
    const Status watched = drops_.Watch(moved);
    if (!watched.ok() && bpf::HasFeature("drop_reasons"))  // else it is told as a capability
      FL_LOG(warn, "drops are not counted: {}", ToString(watched.message()));
  }
  return statuses;
}

Status NetworkDriver::Begin(TargetState* state) {
  const chaos::v1::Target& target = state->target;
  state->on_own_network = bpf::IsOwnNetns(target.netns());
  state->cgroup_id.reset();
  FL_ASSIGN_OR_RETURN(state->slot, FreeSlot(targets_, *state));
  FL_ASSIGN_OR_RETURN(Filter filter, TargetFilter(target));
  if (filter.cgroup) state->cgroup_id = filter.cgroup->id;
  // Measuring goes by ports where there are any: a cgroup is not known on the way in.
  if (!target.ports().empty()) filter.cgroup.reset();
  FL_ASSIGN_OR_RETURN(state->hook, hooks_->Acquire(target.netns(), target.interface()));
  filter.hook = state->hook;
  ClearSample(kernel_.get(), &drops_, state->slot);
  const Status status = tables_.Set(TargetBit(state->slot), filter);
  if (!status.ok()) hooks_->Release(state->hook);
  return status;
}

Status NetworkDriver::StillThere(const TargetState& state, Seen* seen) const {
  FL_RETURN_IF_ERROR(state.status);
  const auto [it, fresh] = seen->try_emplace(state.hook);
  if (fresh) it->second = hooks_->StillThere(state.hook);
  FL_RETURN_IF_ERROR(it->second);
  return SameCgroup(state);
}

Status NetworkDriver::Follow(TargetState* state) {
  Seen seen;
  const Status there = StillThere(*state, &seen);
  if (there.ok()) return there;
  if (state->status.ok()) Leave(state, there);
  return state->status = Begin(state);
}

void NetworkDriver::Leave(TargetState* state, const Status& why) {
  state->lost = ToString(why.message());
  FL_LOG(warn, "target {} has lost its place: {}", state->target.target_id(), state->lost);
  End(*state);
  state->status = why;
}

void NetworkDriver::End(const TargetState& state) {
  std::vector<FaultKey> mine;
  for (const auto& [key, rule] : rules_) {
    if (key.target_id == state.target.target_id()) mine.push_back(key);
  }
  for (const FaultKey& key : mine) (void)Disarm(key);
  if (!state.status.ok()) return;
  tables_.Clear(TargetBit(state.slot));
  hooks_->Release(state.hook);
}

Status NetworkDriver::Arm(const ArmRequest& request) {
  const auto target = targets_.find(request.key.target_id);
  if (target == targets_.end()) {
    return MakeError(StatusCode::kNotFound, "this agent has no target '{}'", request.key.target_id);
  }
  FL_RETURN_IF_ERROR(Follow(&target->second));
  const std::string config = request.config.SerializeAsString() + std::to_string(request.seed);
  const auto known = rules_.find(request.key);
  if (known != rules_.end() && known->second.config == config && Holds(known->second)) {
    const unsigned index = known->second.index;
    tables_.rule(index).deadline_ns = request.deadline_boottime_ns;
    if (known->second.uses_lane) lane_->SetDeadline(index, request.deadline_boottime_ns);
    return absl::OkStatus();
  }
  if (known != rules_.end()) FL_RETURN_IF_ERROR(Disarm(request.key));
  RuleState rule;
  rule.config = config;
  FL_RETURN_IF_ERROR(MakeRule(request, target->second, &rule));
  rules_.emplace(request.key, std::move(rule));
  return absl::OkStatus();
}

Status NetworkDriver::MakeRule(const ArmRequest& request, const TargetState& target,
                               RuleState* rule) {
  rule->seed = request.seed;
  FL_ASSIGN_OR_RETURN(rule->nth, FindRoom(rules_, request));
  const uint64_t seed = ChoiceSeed(request.seed, rule->nth);
  chaos::v1::Target planned = target.target;
  if (target.on_own_network) planned.clear_netns();
  FL_ASSIGN_OR_RETURN(const RulePlan plan, PlanRule(request.config, planned, seed));
  Filter filter = plan.filter;
  filter.hook = target.hook;
  rule->peers = NamedPeers(filter, plan.hosts);
  FL_RETURN_IF_ERROR(rule->peers.Fill(&names_, &filter));
  const ActionPlan& action = plan.action;
  std::set<unsigned> taken;
  for (const auto& [key, other] : rules_) taken.insert(other.index);
  FL_ASSIGN_OR_RETURN(rule->index, numbers_.Next(taken));
  rule->hook = target.hook;
  rule->uses_lane = action.lane.has_value();
  rule->acted = action.acted;
  kernel_->counters(rule->index) = fl_counters{};
  tables_.SetRule(rule->index,
                  {.deadline_ns = request.deadline_boottime_ns,
                   .seed = request.seed,
                   .choice_seed = seed,
                   .action = action.action,
                   .choice = action.choice,
                   .narrow = plan.narrow},
                  plan.exposes);
  if (rule->uses_lane) {
    FL_RETURN_IF_ERROR(bpf::RequireFeature("tun"));
    FL_RETURN_IF_ERROR(hooks_->AcquireLane(rule->hook));
    lane_->SetRule(rule->index, *action.lane, request.deadline_boottime_ns);
  }
  const Status status = tables_.Set(RuleBit(rule->index), filter);
  if (!status.ok() && rule->uses_lane) {
    lane_->ClearRule(rule->index);
    hooks_->ReleaseLane(rule->hook);
  }
  return status;
}

Status NetworkDriver::Disarm(const FaultKey& key) {
  const auto found = rules_.find(key);
  if (found == rules_.end()) return absl::OkStatus();
  const RuleState& rule = found->second;
  tables_.Clear(RuleBit(rule.index));
  if (rule.uses_lane) {
    lane_->ClearRule(rule.index);
    hooks_->ReleaseLane(rule.hook);
  }
  retired_.Add(key.target_id, CountersOf(key, rule));
  rules_.erase(found);
  return absl::OkStatus();
}

std::vector<FaultKey> NetworkDriver::Armed() {
  Seen seen;
  std::vector<FaultKey> armed;
  for (const auto& [key, rule] : rules_) {
    if (Holds(rule) && StillThere(targets_.at(key.target_id), &seen).ok()) armed.push_back(key);
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
    retired_.TellOf(id, &sample);  // before those of the same fault that is armed anew
    for (const auto& [key, rule] : rules_) {
      if (key.target_id == id) *sample.add_faults() = CountersOf(key, rule);
    }
  }
  retired_.TellRest(samples);
}

}  // namespace

StatusOr<std::unique_ptr<faults::Driver>> MakeNetworkDriver(const faults::DriverContext& context,
                                                            const DriverOptions& options) {
  FL_RETURN_IF_ERROR(bpf::RequireRoot());
  for (const char* feature : {"btf", "tc", "ringbuf"})
    FL_RETURN_IF_ERROR(bpf::RequireFeature(feature));
  FL_ASSIGN_OR_RETURN(std::unique_ptr<Kernel> kernel, Kernel::Load());
  FL_ASSIGN_OR_RETURN(
      std::unique_ptr<Lane> lane,
      Lane::Start(&kernel->counters(0), kernel->parked(), &kernel->tables()->lane_cuts));
  if (context.on_lease_page) {
    context.on_lease_page(kernel->map_fd("fl_lease"),
                          reinterpret_cast<faults::LeasePage*>(kernel->lease()));
  }
  const auto best = bpf::HasFeature("tcx") ? bpf::AttachMode::kTcx : bpf::AttachMode::kClsact;
  std::copy_n(context.own_ports.begin(), std::min<size_t>(context.own_ports.size(), FL_OWN_PORTS),
              kernel->tables()->own_port);
  return std::make_unique<NetworkDriver>(std::move(kernel), std::move(lane), context.undo,
                                         options.attach_mode.value_or(best));
}

}  // namespace faultline::network
