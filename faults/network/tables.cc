#include "faults/network/tables.h"

#include <bpf/bpf.h>

#include <algorithm>
#include <cerrno>

namespace faultline::network {
namespace {

using Way = NetworkSets::Way;

// Sorted, without overlaps.
std::vector<PortRange> Apart(std::vector<PortRange> ranges) {
  std::sort(ranges.begin(), ranges.end());
  std::vector<PortRange> apart;
  for (const PortRange& range : ranges) {
    if (!apart.empty() && range.first <= apart.back().last) {
      apart.back().last = std::max(apart.back().last, range.last);
    } else {
      apart.push_back(range);
    }
  }
  return apart;
}

std::vector<Cidr> EachOnce(std::vector<Cidr> cidrs) {
  std::sort(cidrs.begin(), cidrs.end());
  cidrs.erase(std::unique(cidrs.begin(), cidrs.end()), cidrs.end());
  return cidrs;
}

// Those of `some` that are not among `others`.
std::vector<Cidr> Without(const std::vector<Cidr>& some, const std::vector<Cidr>& others) {
  std::vector<Cidr> rest;
  std::copy_if(some.begin(), some.end(), std::back_inserter(rest), [&](const Cidr& cidr) {
    return std::find(others.begin(), others.end(), cidr) == others.end();
  });
  return rest;
}

}  // namespace

unsigned ShapeOf(const Filter& filter) {
  return (filter.protocols.empty() ? 0u : FL_ASKS_PROTOCOL) |
         (filter.ports[FL_LOCAL] ? FL_ASKS_LOCAL_PORT : 0u) |
         (filter.ports[FL_PEER] ? FL_ASKS_PEER_PORT : 0u) |
         (filter.prefixes[FL_LOCAL].empty() ? 0u : FL_ASKS_LOCAL_NET) |
         (filter.prefixes[FL_PEER].empty() ? 0u : FL_ASKS_PEER_NET) |
         (filter.excluded.empty() ? 0u : FL_ASKS_EXCLUDED) | (filter.cgroup ? FL_ASKS_CGROUP : 0u);
}

Tables::Tables(fl_tables* memory, int prefixes_fd, int cgroups_fd, BitSets::Grow grow)
    : memory_(memory),
      cgroups_fd_(cgroups_fd),
      sets_(std::move(grow)),
      ports_{PortSets(memory->port_set[FL_LOCAL], &sets_),
             PortSets(memory->port_set[FL_PEER], &sets_)},
      networks_(prefixes_fd, &sets_) {}

Status Tables::Set(unsigned bit, const Filter& filter) {
  FL_RETURN_IF_ERROR(Prepare(bit, filter));
  Publish(bit, filter);
  Announce();
  return absl::OkStatus();
}

Status Tables::Replace(unsigned old, unsigned bit, const Filter& filter) {
  const auto held = filters_.find(old);
  if (held == filters_.end()) return Set(bit, filter);
  FL_RETURN_IF_ERROR(Prepare(bit, filter));
  // Packets that have seen ports and networks without the new bit look again once they see it.
  Announce();
  if (held->second.hook == filter.hook) {
    for (const unsigned direction : {FL_EGRESS, FL_INGRESS}) {
      const bool wanted = direction == FL_EGRESS ? filter.egress : filter.ingress;
      if (wanted) Exchange(&memory_->hook[filter.hook].bits[direction], old, bit);
    }
  } else {
    Publish(bit, filter);
  }
  Withdraw(old, held->second);
  Forget(old);
  Announce();
  return absl::OkStatus();
}

Status Tables::Prepare(unsigned bit, const Filter& wanted) {
  Filter filter = wanted;
  for (auto& ports : filter.ports) {
    if (ports) ports = Apart(std::move(*ports));
  }
  for (auto& prefixes : filter.prefixes) prefixes = EachOnce(std::move(prefixes));
  filter.excluded = EachOnce(std::move(filter.excluded));
  filters_.emplace(bit, filter);
  Join(filter.hook, ShapeOf(filter));
  SetIndependent(bit, filter, true);
  SetSolePeer(bit, filter);
  Status status = absl::OkStatus();
  for (const unsigned side : {FL_LOCAL, FL_PEER}) {
    if (status.ok() && filter.ports[side]) status = ports_[side].Add(bit, *filter.ports[side]);
  }
  if (status.ok()) status = AddNetworks(bit, filter);
  if (status.ok() && filter.cgroup) status = JoinCgroup(bit, *filter.cgroup);
  if (!status.ok()) Forget(bit);
  return status;
}

void Tables::Announce() { __atomic_add_fetch(&memory_->generation, 1, __ATOMIC_RELEASE); }

// What is asked for by nobody any more is forgotten only when something comes to a hook that has
// had nothing: a packet that has still seen a bit must find what the bit asks for.
void Tables::Join(unsigned hook_index, unsigned shape) {
  fl_hook& hook = memory_->hook[hook_index];
  Asking& asking = asking_[hook_index];
  const bool first = asking.bits++ == 0;
  asking.local_port += (shape & FL_ASKS_LOCAL_PORT) != 0 ? 1 : 0;
  asking.peer_port += (shape & FL_ASKS_PEER_PORT) != 0 ? 1 : 0;
  __atomic_store_n(&hook.asks, first ? shape : hook.asks | shape, __ATOMIC_RELEASE);
  SetAllAsk(hook_index);
}

void Tables::Leave(unsigned hook_index, unsigned shape) {
  Asking& asking = asking_[hook_index];
  --asking.bits;
  asking.local_port -= (shape & FL_ASKS_LOCAL_PORT) != 0 ? 1 : 0;
  asking.peer_port -= (shape & FL_ASKS_PEER_PORT) != 0 ? 1 : 0;
  SetAllAsk(hook_index);
}

void Tables::SetAllAsk(unsigned hook_index) {
  const Asking& asking = asking_[hook_index];
  const unsigned all = (asking.local_port == asking.bits ? FL_ASKS_LOCAL_PORT : 0u) |
                       (asking.peer_port == asking.bits ? FL_ASKS_PEER_PORT : 0u);
  __atomic_store_n(&memory_->hook[hook_index].all_ask, asking.bits == 0 ? 0 : all,
                   __ATOMIC_RELEASE);
}

Status Tables::AddNetworks(unsigned bit, const Filter& filter) {
  for (const unsigned side : {FL_LOCAL, FL_PEER}) {
    for (const Cidr& cidr : filter.prefixes[side]) {
      FL_RETURN_IF_ERROR(networks_.Add(bit, side, cidr, Way::kIn));
    }
  }
  for (const Cidr& cidr : filter.excluded) {
    FL_RETURN_IF_ERROR(networks_.Add(bit, FL_PEER, cidr, Way::kOut));
  }
  return absl::OkStatus();
}

Status Tables::SetPeers(unsigned bit, std::vector<Cidr> peers, std::vector<Cidr> excluded) {
  const auto found = filters_.find(bit);
  if (found == filters_.end()) return absl::OkStatus();
  Status status = ChangePeers(bit, &found->second, std::move(peers), std::move(excluded));
  Announce();
  return status;
}

Status Tables::ChangePeers(unsigned bit, Filter* filter, std::vector<Cidr> peers,
                           std::vector<Cidr> excluded) {
  if (bit >= FL_MAX_TARGETS) {
    __atomic_store_n(&memory_->rule[bit - FL_MAX_TARGETS].sole_peer.family, 0, __ATOMIC_RELEASE);
  }
  peers = EachOnce(std::move(peers));
  excluded = EachOnce(std::move(excluded));
  auto& in = filter->prefixes[FL_PEER];
  auto& out = filter->excluded;
  const auto come = Without(peers, in), now_out = Without(excluded, out);
  Status status = absl::OkStatus();
  for (const Cidr& cidr : now_out) {
    if (status.ok()) status = networks_.Add(bit, FL_PEER, cidr, Way::kOut);
  }
  if (!out.empty() || !now_out.empty()) {
    __atomic_or_fetch(&memory_->hook[filter->hook].asks, FL_ASKS_EXCLUDED, __ATOMIC_RELEASE);
    Assign(&memory_->excluding, bit, true);
  }
  for (const Cidr& cidr : come) {
    if (status.ok()) status = networks_.Add(bit, FL_PEER, cidr, Way::kIn);
  }
  // All that is new goes again when there is no room for all of it.
  for (const Cidr& cidr : status.ok() ? Without(out, excluded) : now_out) {
    networks_.Remove(bit, FL_PEER, cidr, Way::kOut);
  }
  for (const Cidr& cidr : status.ok() ? Without(in, peers) : come) {
    networks_.Remove(bit, FL_PEER, cidr, Way::kIn);
  }
  if (status.ok()) {
    in = std::move(peers);
    out = std::move(excluded);
  }
  Assign(&memory_->excluding, bit, !out.empty());
  return status;
}

void Tables::Clear(unsigned bit) {
  const auto found = filters_.find(bit);
  if (found == filters_.end()) return;
  Withdraw(bit, found->second);
  Forget(bit);
  Announce();
}

void Tables::Forget(unsigned bit) {
  const auto found = filters_.find(bit);
  const Filter& filter = found->second;
  SetIndependent(bit, filter, false);
  for (const unsigned side : {FL_LOCAL, FL_PEER}) {
    if (filter.ports[side]) ports_[side].Remove(bit, *filter.ports[side]);
    for (const Cidr& cidr : filter.prefixes[side]) networks_.Remove(bit, side, cidr, Way::kIn);
  }
  for (const Cidr& cidr : filter.excluded) networks_.Remove(bit, FL_PEER, cidr, Way::kOut);
  if (filter.cgroup) LeaveCgroup(bit, *filter.cgroup);
  Leave(filter.hook, ShapeOf(filter));
  filters_.erase(found);
}

bool Tables::IsSet(unsigned bit) const {
  const auto found = filters_.find(bit);
  if (found == filters_.end()) return false;
  const fl_hook& hook = memory_->hook[found->second.hook];
  return Has(hook.bits[FL_EGRESS], bit) || Has(hook.bits[FL_INGRESS], bit);
}

void Tables::Publish(unsigned bit, const Filter& filter) {
  fl_hook& hook = memory_->hook[filter.hook];
  if (filter.egress) Assign(&hook.bits[FL_EGRESS], bit, true);
  if (filter.ingress) Assign(&hook.bits[FL_INGRESS], bit, true);
}

void Tables::Withdraw(unsigned bit, const Filter& filter) {
  for (fl_bits& bits : memory_->hook[filter.hook].bits) Assign(&bits, bit, false);
}

void Tables::SetIndependent(unsigned bit, const Filter& filter, bool on) {
  for (unsigned protocol = 0; protocol < FL_PROTOS; ++protocol) {
    const bool wanted = filter.protocols.empty() || filter.protocols.contains(protocol);
    Assign(&memory_->protocol[protocol], bit, on && wanted);
  }
  for (const unsigned side : {FL_LOCAL, FL_PEER}) {
    Assign(&memory_->any_port[side], bit, on && !filter.ports[side]);
    const bool any = filter.prefixes[side].empty();
    Assign(&memory_->any_address[side], bit, on && any);
    Assign(&memory_->by_address[side], bit, on && !any);
  }
  Assign(&memory_->excluding, bit, on && !filter.excluded.empty());
  Assign(&memory_->any_cgroup, bit, on && !filter.cgroup);
  Assign(&memory_->by_cgroup, bit, on && filter.cgroup);
}

void Tables::SetSolePeer(unsigned bit, const Filter& filter) {
  if (bit < FL_MAX_TARGETS) return;
  fl_sole_peer& sole = memory_->rule[bit - FL_MAX_TARGETS].sole_peer;
  sole = {};
  const auto& peers = filter.prefixes[FL_PEER];
  const bool others = !filter.prefixes[FL_LOCAL].empty() || !filter.excluded.empty();
  if (peers.size() == 1 && !others && !filter.cgroup) sole = SolePeer(peers.front());
}

Status Tables::JoinCgroup(unsigned bit, const Filter::Cgroup& wanted) {
  Cgroup& cgroup = cgroups_[wanted.id];
  ++cgroup.users;
  if (cgroup.set == 0) {
    FL_ASSIGN_OR_RETURN(cgroup.set, sets_.Make());
    cgroup.level = wanted.level;
    ++on_level_[cgroup.level % on_level_.size()];
    const __u32 set = cgroup.set;
    if (bpf_map_update_elem(cgroups_fd_, &wanted.id, &set, BPF_ANY) != 0) {
      return MakeError(StatusCode::kResourceExhausted, "the kernel's table of cgroups is full: {}",
                       ErrnoText(errno));
    }
    __atomic_or_fetch(&memory_->cgroup_levels, uint64_t{1} << cgroup.level, __ATOMIC_RELEASE);
  }
  Assign(&sets_[cgroup.set], bit, true);
  return absl::OkStatus();
}

void Tables::LeaveCgroup(unsigned bit, const Filter::Cgroup& left) {
  const auto found = cgroups_.find(left.id);
  if (found == cgroups_.end()) return;
  Cgroup& cgroup = found->second;
  if (cgroup.set != 0) Assign(&sets_[cgroup.set], bit, false);
  if (--cgroup.users > 0) return;
  if (cgroup.set != 0) {
    bpf_map_delete_elem(cgroups_fd_, &left.id);
    sets_.GiveBack(cgroup.set);
    if (--on_level_[cgroup.level % on_level_.size()] == 0) {
      __atomic_and_fetch(&memory_->cgroup_levels, ~(uint64_t{1} << cgroup.level), __ATOMIC_RELEASE);
    }
  }
  cgroups_.erase(found);
}

}  // namespace faultline::network
