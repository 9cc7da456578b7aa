#include "faults/network/hooks.h"

#include <bpf/bpf.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/log.h"

namespace faultline::network {
namespace {

// A packet's way through one of the two would be another fault's for the other.
Status SeenFromBothEnds(const HookPlace& place) {
  return MakeError(StatusCode::kFailedPrecondition,
                   "interface '{}' is the host's end of another target's link, or a target of its "
                   "own: one interface cannot be both",
                   place.name);
}

}  // namespace

Hooks::Hooks(Kernel* kernel, Lane* lane, FqLanes* fq, faults::UndoLog* undo, bpf::AttachMode mode)
    : kernel_(kernel), lane_(lane), fq_(fq), undo_(undo), mode_(mode) {
  bpf::RaiseFileLimit();
}

Hooks::~Hooks() {
  for (auto& hook : hooks_) hook.reset();
  for (auto& [id, lane] : lanes_) CloseLane(id, &lane);
  lanes_.clear();
  while (closing_.valid() || !doomed_.empty()) {
    if (closing_.valid()) closing_.get();
    CloseDoomed();
  }
}

StatusOr<unsigned> Hooks::Acquire(const TargetPlace& target) {
  FL_ASSIGN_OR_RETURN(const HookPlace place, FindPlace(target));
  ForgetUndone();
  unsigned free = FL_MAX_HOOKS;
  for (unsigned i = 0; i < FL_MAX_HOOKS; ++i) {
    if (hooks_[i] && hooks_[i]->place.IsSameAs(place) && hooks_[i]->first->Alive() &&
        hooks_[i]->second->Alive()) {
      if (hooks_[i]->target.at_host_end != target.at_host_end) return SeenFromBothEnds(place);
      ++hooks_[i]->users;
      return i;
    }
    if (!hooks_[i] && free == FL_MAX_HOOKS && !IsHaunted(i)) free = i;
  }
  if (free == FL_MAX_HOOKS) {
    return MakeError(StatusCode::kResourceExhausted, "more than {} interfaces have targets",
                     FL_MAX_HOOKS);
  }
  if (!place.interface.ethernet) {
    return MakeError(StatusCode::kFailedPrecondition,
                     "interface {} carries no Ethernet frames, which network faults need",
                     place.name);
  }
  auto hook = std::make_unique<Hook>();
  hook->target = target;
  hook->place = place;
  const Status opened = Open(free, hook.get());
  if (!opened.ok()) ForgetPlace(free);
  FL_RETURN_IF_ERROR(opened);
  hooks_[free] = std::move(hook);
  FindGatewaysOf(free);
  return free;
}

void Hooks::ForgetPlace(unsigned index) {
  fl_hook& shared = kernel_->tables()->hook[index];
  const fl_hook_key key{shared.netns, shared.ifindex};
  // It may be another's by now, whose programs are on where ours were taken off.
  __u32 value = FL_MAX_HOOKS;
  bpf_map_lookup_elem(kernel_->map_fd("fl_hooks"), &key, &value);
  if (value == index) bpf_map_delete_elem(kernel_->map_fd("fl_hooks"), &key);
  // First: what comes out of a lane goes nowhere then, and not the other way.
  __atomic_store_n(&shared.ifindex, 0, __ATOMIC_SEQ_CST);
  __atomic_store_n(&shared.netns, 0, __ATOMIC_RELAXED);
  shared.lane_ifindex = 0;
  std::memset(shared.gateway, 0, sizeof(shared.gateway));
}

Status Hooks::Open(unsigned index, Hook* hook) {
  const HookPlace& place = hook->place;
  fl_hook& shared = kernel_->tables()->hook[index];
  ++shared.generation;  // what the kernel still holds for the one before is not for this one
  __atomic_store_n(&shared.netns, static_cast<__u32>(place.netns_id.inode), __ATOMIC_RELAXED);
  shared.outside = hook->target.at_host_end ? 1 : 0;
  __atomic_store_n(&shared.ifindex, place.interface.index, __ATOMIC_SEQ_CST);
  const auto lane = lanes_.find(place.netns_id);
  const bool has_lane = lane != lanes_.end() && lane->second.device != 0;
  shared.lane_ifindex = has_lane ? static_cast<__u32>(lane->second.tap.ifindex) : 0;
  hook->users = 1;
  FL_ASSIGN_OR_RETURN(const HookPrograms programs, kernel_->LoadHook(index));
  FL_ASSIGN_OR_RETURN(hook->first, AttachTo(index, *hook, programs.ingress.get(), FL_INGRESS));
  FL_ASSIGN_OR_RETURN(hook->second, AttachTo(index, *hook, programs.egress.get(), FL_EGRESS));
  const fl_hook_key key{shared.netns, shared.ifindex};
  const __u32 value = index;
  // There is a place for each.
  bpf_map_update_elem(kernel_->map_fd("fl_hooks"), &key, &value, BPF_ANY);
  return absl::OkStatus();
}

StatusOr<std::unique_ptr<bpf::Attachment>> Hooks::AttachTo(unsigned index, const Hook& hook,
                                                           int program_fd, unsigned direction) {
  const bool outside = hook.target.at_host_end;
  bpf::AttachRequest request;
  request.netns = hook.place.netns;
  request.netns_id = hook.place.netns_id;
  request.interface = hook.place.name;
  request.ifindex = hook.place.interface.index;
  // At the other end of its link a target's egress comes in.
  request.egress = (direction == FL_EGRESS) != outside;
  request.program_fd = program_fd;
  request.mode = mode_;
  if (undo_ != nullptr) RecordUndo(index, &request);
  return bpf::Attach(request);
}

void Hooks::Release(unsigned hook) {
  if (!hooks_[hook] || --hooks_[hook]->users > 0) return;
  const bpf::NetnsId id = hooks_[hook]->place.netns_id;
  hooks_[hook].reset();
  ForgetPlace(hook);
  if (const Hook* other = AnyIn(id)) return NameDevices(id, other->place.netns);
  fq_->Leave(id);
  const auto lane = lanes_.find(id);
  if (lane == lanes_.end()) return;
  CloseLane(id, &lane->second);
  lanes_.erase(lane);
}

const Hooks::Hook* Hooks::AnyIn(const bpf::NetnsId& id) const {
  const auto found = std::ranges::find_if(
      hooks_, [&](const auto& hook) { return hook && hook->place.netns_id == id; });
  return found == hooks_.end() ? nullptr : found->get();
}

void Hooks::NameDevices(const bpf::NetnsId& id, const std::string& netns) {
  const auto lane = lanes_.find(id);
  if (lane != lanes_.end()) lane->second.netns = netns;
  fq_->Rename(id, netns);
}

Status Hooks::AcquireLane(unsigned hook, const LaneUse& use) {
  const HookPlace& place = hooks_[hook]->place;
  LaneDevice& lane = lanes_[place.netns_id];
  lane.netns = place.netns;
  if (lane.users == 0) lane.idle_since = std::chrono::steady_clock::now();
  if (lane.device == 0) FL_RETURN_IF_ERROR(OpenLane(place.netns_id, &lane));
  const bool is_loopback = place.interface.loopback;
  if (is_loopback && !lane.loopback) {
    FL_ASSIGN_OR_RETURN(lane.loopback, LoopbackRoutes::Open(place.netns, place.name, undo_));
  }
  FL_RETURN_IF_ERROR(fq_->Add(hook, place, use));
  if (is_loopback) ++lane.loopback_users;
  ++lane.users;
  return absl::OkStatus();
}

void Hooks::ReleaseLane(unsigned hook, const LaneUse& use) {
  if (!hooks_[hook]) return;
  fq_->Remove(hook, use);
  const auto known = lanes_.find(hooks_[hook]->place.netns_id);
  if (known == lanes_.end()) return;
  LaneDevice& lane = known->second;
  const auto now = std::chrono::steady_clock::now();
  const bool is_loopback = hooks_[hook]->place.interface.loopback;
  if (is_loopback && --lane.loopback_users == 0) lane.loopback_idle_since = now;
  if (--lane.users == 0) lane.idle_since = now;
}

bool Hooks::HasLane(unsigned hook) const {
  const auto known = lanes_.find(hooks_[hook]->place.netns_id);
  return known != lanes_.end() && known->second.device != 0;
}

void Hooks::TendLanes() {
  fq_->Tend();
  const auto now = std::chrono::steady_clock::now();
  const bool look = lanes_.size() <= FqLanes::kFew || now - stood_ >= FqLanes::kLook;
  if (look) stood_ = now;
  for (auto it = lanes_.begin(); it != lanes_.end();) {
    auto& [id, lane] = *it;
    if (lane.loopback_users == 0 && now - lane.loopback_idle_since >= kLoopbackIdle) {
      lane.loopback.reset();
    }
    if (lane.users == 0 && now - lane.idle_since >= kLaneIdle) {
      CloseLane(id, &lane);
      it = lanes_.erase(it);
      continue;
    }
    if (look && lane.users > 0 && lane.device != 0 && !Stands(id, lane)) {
      FL_LOG(warn, "{} in '{}' was taken away or shut: making another", lane.tap.name, lane.netns);
      CloseLane(id, &lane);
      if (const Status again = OpenLane(id, &lane); !again.ok()) {
        FL_LOG(error, "{}", ToString(again.message()));
      }
    }
    ++it;
  }
  CloseDoomed();
}

bool Hooks::Stands(const bpf::NetnsId& id, const LaneDevice& lane) {
  const auto netns_fd = bpf::OpenNetns(lane.netns);
  const auto named = netns_fd.ok() ? bpf::IdOf(*netns_fd) : netns_fd.status();
  // Its name is gone or another's: the next look takes its targets and the lane away, or has
  // another name for it.
  if (!named.ok() || *named != id) return true;
  bool stands = false;
  const Status looked = bpf::InNetns(*netns_fd, [&]() -> Status {
    FL_ASSIGN_OR_RETURN(stands, bpf::IsUpAs(lane.tap.name, lane.tap.ifindex));
    return absl::OkStatus();
  });
  return stands || !looked.ok();
}

Status Hooks::OpenLane(const bpf::NetnsId& id, LaneDevice* lane) {
  FL_ASSIGN_OR_RETURN(lane->tap, MakeTap(lane->netns, id, kernel_->lane_program(), mode_));
  FL_ASSIGN_OR_RETURN(lane->device,
                      lane_->AddDevice(lane->tap.fd.get(), static_cast<uint32_t>(id.inode)));
  SetLaneIfindex(id, lane->tap.ifindex);
  return absl::OkStatus();
}

void Hooks::CloseLane(const bpf::NetnsId& id, LaneDevice* lane) {
  if (lane->device == 0) return;
  SetLaneIfindex(id, 0);
  lane_->RemoveDevice(std::exchange(lane->device, 0));
  doomed_.push_back(std::exchange(lane->tap, {}));
  CloseDoomed();
}

// Taking a device out of the kernel waits for its readers: not on the caller's time.
void Hooks::CloseDoomed() {
  const bool busy =
      closing_.valid() && closing_.wait_for(std::chrono::seconds(0)) != std::future_status::ready;
  if (busy || doomed_.empty()) return;
  closing_ = std::async(std::launch::async, [taps = std::exchange(doomed_, {})]() mutable {
    for (Tap& tap : taps) {
      tap.program.reset();
      tap.fd.Reset();
    }
  });
}

void Hooks::SetLaneIfindex(const bpf::NetnsId& id, int ifindex) {
  for (unsigned i = 0; i < FL_MAX_HOOKS; ++i) {
    if (!hooks_[i] || hooks_[i]->place.netns_id != id) continue;
    kernel_->tables()->hook[i].lane_ifindex = static_cast<__u32>(ifindex);
  }
}

}  // namespace faultline::network
