#include "faults/network/fq_lanes.h"

#include <algorithm>

#include "base/log.h"

namespace faultline::network {
namespace {

template <typename Word>
Word Read(const Word& word) {
  return __atomic_load_n(&word, __ATOMIC_ACQUIRE);
}

}  // namespace

FqLanes::FqLanes(Kernel* kernel, faults::UndoLog* undo, bpf::AttachMode mode, LaneChoice choice,
                 uint64_t most_bytes)
    : kernel_(kernel), undo_(undo), mode_(mode), choice_(choice), most_bytes_(most_bytes) {
  kernel_->tables()->fq_room = static_cast<__s64>(most_bytes_);
}

FqLanes::~FqLanes() {
  for (const auto& [hook, state] : hooks_) kernel_->tables()->hook[hook].fq_ifindex = 0;
}

Status FqLanes::Add(unsigned hook, const HookPlace& place, const LaneUse& use) {
  if (choice_ == LaneChoice::kTap) return absl::OkStatus();
  if (use.holds) {
    Pair& pair = pairs_[place.netns_id];
    pair.netns = place.netns;
    if (pair.users == 0) pair.idle_since = Clock::now();
    // What is idle may have been taken away.
    if (pair.users == 0 && pair.devices && !pair.devices->Stands()) pair.devices.reset();
    // One attempt for all rules that are there; who asked for fq is told each time.
    if (!pair.devices && (pair.users == 0 || choice_ == LaneChoice::kFq)) {
      const Status made = Open(place.netns_id, &pair);
      if (!made.ok() && choice_ == LaneChoice::kFq) return made;
    }
    ++pair.users;
  }
  Hook& state = hooks_[hook];
  state.netns_id = place.netns_id;
  ++state.rules;
  state.holding += use.holds ? 1 : 0;
  state.picking += use.picks ? 1 : 0;
  rules_.insert(use.rule);
  Publish(hook);
  return absl::OkStatus();
}

void FqLanes::Rename(const bpf::NetnsId& id, const std::string& netns) {
  const auto pair = pairs_.find(id);
  if (pair != pairs_.end()) pair->second.netns = netns;
}

void FqLanes::Remove(unsigned hook, const LaneUse& use) {
  if (rules_.erase(use.rule) == 0) return;
  Hook& state = hooks_.at(hook);
  --state.rules;
  state.holding -= use.holds ? 1 : 0;
  state.picking -= use.picks ? 1 : 0;
  if (use.holds) {
    Pair& pair = pairs_.at(state.netns_id);
    if (--pair.users == 0) pair.idle_since = Clock::now();
  }
  Publish(hook);
  if (state.rules == 0) hooks_.erase(hook);
}

void FqLanes::Leave(const bpf::NetnsId& id) {
  const auto pair = pairs_.find(id);
  if (pair != pairs_.end() && pair->second.users == 0) pairs_.erase(pair);
}

Status FqLanes::Open(const bpf::NetnsId& id, Pair* pair) {
  auto made = FqPair::Make(pair->netns, id, kernel_->fq_program(), mode_, undo_);
  if (made.ok()) {
    pair->devices = std::move(*made);
  } else {
    FL_LOG(warn, "no fq lane in '{}', the TAP lane holds its delays: {}", pair->netns,
           ToString(made.status().message()));
  }
  return made.status();
}

void FqLanes::Publish(unsigned hook) {
  const Hook& state = hooks_.at(hook);
  const auto pair = pairs_.find(state.netns_id);
  const bool there = pair != pairs_.end() && pair->second.devices != nullptr;
  const bool in_order = state.picking == 0 || state.rules == 1;
  const bool used = there && state.holding > 0 && in_order;
  __atomic_store_n(&kernel_->tables()->hook[hook].fq_ifindex,
                   used ? static_cast<__u32>(pair->second.devices->ifindex()) : 0,
                   __ATOMIC_RELEASE);
}

void FqLanes::Tend() {
  const auto now = Clock::now();
  const bool look = pairs_.size() <= kFew || now - stood_ >= kLook;
  if (look) stood_ = now;
  for (auto it = pairs_.begin(); it != pairs_.end();) {
    auto& [id, pair] = *it;
    // Taking a device out of the kernel waits for its readers: one at a time.
    if (pair.users == 0 && now - pair.idle_since >= kIdle) {
      pairs_.erase(it);
      break;
    }
    if (look && pair.users > 0 && pair.devices && !pair.devices->Stands()) {
      FL_LOG(warn, "{} in '{}' was taken away or shut: making another", pair.devices->name(),
             pair.netns);
      pair.devices.reset();
      (void)Open(id, &pair);  // the failure is logged
      for (const auto& [hook, state] : hooks_) {
        if (state.netns_id == id) Publish(hook);
      }
    }
    ++it;
  }
  if (now - epoch_began_ < kLost) return;
  epoch_began_ = now;
  BeginEpoch();
}

void FqLanes::BeginEpoch() {
  fl_tables& tables = *kernel_->tables();
  const auto other = static_cast<unsigned>(1 - Read(tables.fq_epoch));
  const auto take = [](__u64& in, __u64& out) {
    const uint64_t let_in = __atomic_exchange_n(&in, 0, __ATOMIC_ACQ_REL);
    const uint64_t let_out = __atomic_exchange_n(&out, 0, __ATOMIC_ACQ_REL);
    return let_in > let_out ? let_in - let_out : 0;
  };
  for (const unsigned rule : rules_) {
    fl_counters& counters = kernel_->counters(rule);
    const uint64_t lost = take(counters.fq_in[other], counters.fq_out[other]);
    if (lost > 0) __atomic_fetch_add(&counters.lane_dropped, lost, __ATOMIC_RELAXED);
  }
  fl_fq_epoch& epoch = tables.fq_epochs[other];
  (void)take(epoch.packets_in, epoch.packets_out);
  const auto lost_bytes = static_cast<__s64>(take(epoch.bytes_in, epoch.bytes_out));
  if (lost_bytes > 0) __atomic_fetch_add(&tables.fq_room, lost_bytes, __ATOMIC_RELAXED);
  __atomic_store_n(&tables.fq_epoch, other, __ATOMIC_RELEASE);
}

faults::DriverLoad FqLanes::Load() const {
  const fl_tables& tables = *kernel_->tables();
  const auto room = static_cast<int64_t>(Read(tables.fq_room));
  uint64_t in = 0, out = 0;
  for (const fl_fq_epoch& epoch : tables.fq_epochs) {
    out += Read(epoch.packets_out);
    in += Read(epoch.packets_in);
  }
  return {static_cast<uint64_t>(std::max<int64_t>(static_cast<int64_t>(most_bytes_) - room, 0)),
          in > out ? in - out : 0};
}

}  // namespace faultline::network
