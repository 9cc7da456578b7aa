#include "faults/network/driver.h"

#include <algorithm>

#include "base/clock.h"
#include "base/log.h"
#include "bpf/netns.h"
#include "bpf/probe.h"
#include "faults/network/filter_plan.h"
#include "faults/network/network_driver.h"

namespace faultline::network {

static_assert(sizeof(faults::LeasePage) == sizeof(fl_lease));

namespace {

TargetPlace PlaceOf(const chaos::v1::Target& target) {
  return {target.netns(), target.interface(), target.at_host_end()};
}

// Of a target whose turn has not come yet.
Status Waiting(const std::string& why) {
  return MakeDetailedError(StatusCode::kUnavailable, faults::kUnderWay, why);
}
bool Waits(const Status& status) { return ReasonOf(status) == faults::kUnderWay; }

}  // namespace

std::vector<Status> NetworkDriver::SetTargets(const std::vector<chaos::v1::Target>& targets) {
  LookForLost();
  // What follows has a turn, however long the look took.
  const uint64_t begun_ns = BoottimeNowNs();
  // The last look had no time for some: this one is for those, the others have had their turn.
  const bool goes_on =
      std::ranges::any_of(targets_, [](const auto& known) { return Waits(known.second.status); });
  // First all that is let go of, so that it makes room.
  bool has_time = LetGoOfLost(targets, begun_ns);
  bool moved = false;
  std::vector<Status> statuses;
  for (const auto& target : targets) {
    const auto [it, fresh] = targets_.try_emplace(target.target_id());
    TargetState& state = it->second;
    if (!fresh && state.status.ok()) {
      statuses.push_back(state.lost.empty() ? state.status : Waiting(state.lost));
      continue;
    }
    if (fresh || !goes_on || Waits(state.status)) {
      state.target = target;
      if (has_time) {
        state.status = Begin(&state);
        moved |= state.status.ok();
        has_time = go_on_(begun_ns);
      } else {
        state.status = Waiting(fresh ? "not looked at yet" : ToString(state.status.message()));
      }
    }
    statuses.push_back(state.status);
  }
  LookAround(moved);
  return statuses;
}

bool NetworkDriver::LetGoOfLost(const std::vector<chaos::v1::Target>& targets, uint64_t begun_ns) {
  std::map<std::string, const chaos::v1::Target*> wanted;
  for (const auto& target : targets) wanted[target.target_id()] = &target;
  bool has_time = true;
  for (auto it = targets_.begin(); it != targets_.end();) {
    const auto same = wanted.find(it->first);
    TargetState& state = it->second;
    if (same == wanted.end() || !AreSame(*same->second, state.target)) {
      End(state);
      it = targets_.erase(it);
      has_time = go_on_(begun_ns);
      continue;
    }
    if (!state.lost.empty() && has_time) {
      Leave(&state, MakeError(StatusCode::kUnavailable, "{}", state.lost));
      has_time = go_on_(begun_ns);
    }
    ++it;
  }
  return has_time;
}

void NetworkDriver::LookForLost() {
  Hooks::Look look;
  for (auto& [id, state] : targets_) {
    const Status there = StillThere(state, &look);
    state.lost = state.status.ok() && !there.ok() ? ToString(there.message()) : "";
    (void)go_on_(BoottimeNowNs());
  }
}

Status NetworkDriver::Begin(TargetState* state) {
  const chaos::v1::Target& target = state->target;
  state->on_own_network = bpf::IsOwnNetns(target.netns());
  state->cgroup_id.reset();
  FL_ASSIGN_OR_RETURN(state->slot, slots_.Find());
  FL_ASSIGN_OR_RETURN(Filter filter, TargetFilter(target));
  if (filter.cgroup) state->cgroup_id = filter.cgroup->id;
  // Measuring goes by ports where there are any: a cgroup is not known on the way in.
  if (!target.ports().empty()) filter.cgroup.reset();
  FL_ASSIGN_OR_RETURN(state->hook, hooks_->Acquire(PlaceOf(target)));
  filter.hook = state->hook;
  ClearSample(kernel_.get(), &drops_, state->slot);
  const Status status = tables_.Set(TargetBit(state->slot), filter);
  if (!status.ok()) hooks_->Release(state->hook);
  slots_.taken[state->slot] = status.ok();
  return status;
}

std::vector<std::string> NetworkDriver::Warnings() const {
  std::map<unsigned, std::string> of_hooks;
  std::vector<std::string> warnings;
  for (const auto& [id, state] : targets_) {
    if (!state.status.ok()) continue;
    const auto [of_hook, fresh] = of_hooks.try_emplace(state.hook);
    if (fresh) of_hook->second = hooks_->Warning(state.hook);
    if (of_hook->second.empty()) continue;
    warnings.push_back(fmt::format("{}: {}", id, of_hook->second));
  }
  return warnings;
}

Status NetworkDriver::StillThere(const TargetState& state, Hooks::Look* look) const {
  FL_RETURN_IF_ERROR(state.status);
  FL_RETURN_IF_ERROR(hooks_->StillThere(state.hook, PlaceOf(state.target), look));
  return SameCgroup(state);
}

Status NetworkDriver::Follow(TargetState* state) {
  Hooks::Look look;
  const Status there = StillThere(*state, &look);
  if (there.ok()) return there;
  if (state->status.ok()) Leave(state, there);
  FL_RETURN_IF_ERROR(state->status = Begin(state));
  LookAround(/*moved=*/true);
  return absl::OkStatus();
}

void NetworkDriver::LookAround(bool moved) {
  hooks_->FindGateways();
  if (!moved && !targets_.empty()) return;
  const Status watched = drops_.Watch(moved);
  if (!watched.ok() && bpf::HasFeature("drop_reasons"))  // else it is told as a capability
    FL_LOG(warn, "drops are not counted: {}", ToString(watched.message()));
}

void NetworkDriver::Leave(TargetState* state, const Status& why) {
  state->lost = ToString(why.message());
  FL_LOG(warn, "target {} has lost its place: {}", state->target.target_id(), state->lost);
  End(*state);
  state->status = Waiting(state->lost);
}

Status NetworkDriver::FollowLately(TargetState* state) {
  constexpr uint64_t kLatelyNs = 5 * kNanosPerMilli;
  const uint64_t now_ns = MonotonicNowNs();
  if (now_ns - there_ns_ >= kLatelyNs) {
    there_.clear();
    there_ns_ = now_ns;
  }
  const TargetPlace place = PlaceOf(state->target);
  const bool lately = there_.contains({state->hook, place});
  if (state->status.ok() && !state->cgroup_id && lately) return absl::OkStatus();
  FL_RETURN_IF_ERROR(Follow(state));
  there_.emplace(state->hook, place);
  return absl::OkStatus();
}

faults::DriverLoad NetworkDriver::Load() {
  faults::DriverLoad load = lane_->Load() + fq_->Load();
  load.met_midway = kernel_->met_midway();
  for (const auto& [id, state] : targets_) {
    if (faults::IsMeasuredOneWay(state.target)) load.met_midway.reset();
  }
  return load;
}

void NetworkDriver::End(const TargetState& state) {
  const std::string& id = state.target.target_id();
  for (auto it = FirstOf(rules_, id); it != rules_.end() && it->first.target_id == id;)
    (void)Disarm(FaultKey((it++)->first));
  if (!state.status.ok()) return;
  tables_.Clear(TargetBit(state.slot));
  slots_.taken[state.slot] = false;
  ClearSample(kernel_.get(), &drops_, state.slot);
  hooks_->Release(state.hook);
}

StatusOr<std::unique_ptr<faults::Driver>> MakeNetworkDriver(const faults::DriverContext& context,
                                                            const DriverOptions& options) {
  FL_RETURN_IF_ERROR(bpf::RequireRoot());
  for (const char* feature : {"btf", "tc", "ringbuf"})
    FL_RETURN_IF_ERROR(bpf::RequireFeature(feature));
  FL_ASSIGN_OR_RETURN(const LaneChoice choice, ChooseLane(options.lane.value_or(context.lane)));
  FL_ASSIGN_OR_RETURN(std::unique_ptr<Kernel> kernel, Kernel::Load());
  FL_ASSIGN_OR_RETURN(std::unique_ptr<Lane> lane,
                      Lane::Start(&kernel->counters(0), &kernel->delay_times(), kernel->parked(),
                                  kernel->tables(), kernel->lease()));
  if (context.on_lease_page) {
    context.on_lease_page(kernel->map_fd("fl_lease"),
                          reinterpret_cast<faults::LeasePage*>(kernel->lease()));
  }
  static_assert(faults::kMaxOwnPorts == FL_OWN_PORTS);
  const auto best = bpf::HasFeature("tcx") ? bpf::AttachMode::kTcx : bpf::AttachMode::kClsact;
  std::copy_n(context.own_ports.begin(), std::min<size_t>(context.own_ports.size(), FL_OWN_PORTS),
              kernel->tables()->own_port);
  return std::make_unique<NetworkDriver>(std::move(kernel), std::move(lane), choice,
                                         options.fq_bytes, context.undo,
                                         options.attach_mode.value_or(best), context.go_on);
}

}  // namespace faultline::network
