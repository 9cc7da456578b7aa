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
  LookAround(moved);
  return statuses;
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
  FL_ASSIGN_OR_RETURN(state->hook,
                      hooks_->Acquire({target.netns(), target.interface(), target.at_host_end()}));
  filter.hook = state->hook;
  ClearSample(kernel_.get(), &drops_, state->slot);
  const Status status = tables_.Set(TargetBit(state->slot), filter);
  if (!status.ok()) hooks_->Release(state->hook);
  slots_.taken[state->slot] = status.ok();
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
  FL_RETURN_IF_ERROR(state->status = Begin(state));
  LookAround(/*moved=*/true);
  return absl::OkStatus();
}

void NetworkDriver::LookAround(bool moved) {
  hooks_->FindGateways(/*now=*/moved);
  if (!moved && !targets_.empty()) return;
  const Status watched = drops_.Watch(moved);
  if (!watched.ok() && bpf::HasFeature("drop_reasons"))  // else it is told as a capability
    FL_LOG(warn, "drops are not counted: {}", ToString(watched.message()));
}

void NetworkDriver::Leave(TargetState* state, const Status& why) {
  state->lost = ToString(why.message());
  FL_LOG(warn, "target {} has lost its place: {}", state->target.target_id(), state->lost);
  End(*state);
  state->status = why;
}

Status NetworkDriver::FollowLately(TargetState* state) {
  constexpr uint64_t kLatelyNs = 5 * kNanosPerMilli;
  const bool lately = MonotonicNowNs() - there_ns_[state->hook] < kLatelyNs;
  if (state->status.ok() && !state->cgroup_id && lately) return absl::OkStatus();
  FL_RETURN_IF_ERROR(Follow(state));
  there_ns_[state->hook] = MonotonicNowNs();
  return absl::OkStatus();
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
  const auto best = bpf::HasFeature("tcx") ? bpf::AttachMode::kTcx : bpf::AttachMode::kClsact;
  std::copy_n(context.own_ports.begin(), std::min<size_t>(context.own_ports.size(), FL_OWN_PORTS),
              kernel->tables()->own_port);
  return std::make_unique<NetworkDriver>(std::move(kernel), std::move(lane), choice,
                                         options.fq_bytes, context.undo,
                                         options.attach_mode.value_or(best));
}

}  // namespace faultline::network
