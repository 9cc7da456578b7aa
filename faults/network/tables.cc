#include "faults/network/tables.h"

#include <bpf/bpf.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

namespace faultline::network {
namespace {

constexpr unsigned kMappedIpv4Bits = 96;

void Store(__u64* word, uint64_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }

void Assign(fl_bits* bits, unsigned bit, bool on) {
  const uint64_t mask = uint64_t{1} << (bit % 64);
  __u64* word = &bits->word[bit / 64];
  Store(word, on ? *word | mask : *word & ~mask);
}

// Address as in fl_prefix_key, with the length in it.
std::pair<std::array<uint8_t, 16>, unsigned> Mapped(const Cidr& cidr) {
  if (cidr.ipv6) return {cidr.address, cidr.prefix_bits};
  std::array<uint8_t, 16> address{};
  address[10] = address[11] = 0xff;
  std::copy_n(cidr.address.begin(), 4, address.begin() + 12);
  return {address, kMappedIpv4Bits + cidr.prefix_bits};
}

// True when every address of `inner` is in `outer`; both are side, address, bits.
bool Covers(const std::array<uint8_t, 18>& outer, const std::array<uint8_t, 18>& inner) {
  const unsigned bits = outer[17];
  if (outer[0] != inner[0] || bits > inner[17]) return false;
  for (unsigned i = 0; i < bits; ++i) {
    const unsigned mask = 0x80u >> (i % 8);
    if ((outer[1 + i / 8] & mask) != (inner[1 + i / 8] & mask)) return false;
  }
  return true;
}

fl_prefix_key ToKey(const std::array<uint8_t, 18>& prefix) {
  fl_prefix_key key{};
  key.prefix_bits = 8u + prefix[17];
  key.side = prefix[0];
  std::copy_n(prefix.begin() + 1, 16, key.address);
  return key;
}

Status UpdateFailed(const char* what) {
  return MakeError(StatusCode::kResourceExhausted, "the kernel's table of {} is full: {}", what,
                   ErrnoText(errno));
}

}  // namespace

Tables::Tables(fl_tables* memory, int prefixes_fd, int cgroups_fd)
    : memory_(memory), prefixes_fd_(prefixes_fd), cgroups_fd_(cgroups_fd) {}

Status Tables::Set(unsigned bit, const Filter& filter) {
  filters_.emplace(bit, filter);
  SetIndependent(bit, filter, true);
  Status status = CompilePorts(FL_LOCAL);
  if (status.ok()) status = CompilePorts(FL_PEER);
  if (status.ok()) status = CompilePrefixes();
  if (status.ok()) status = CompileCgroups();
  if (!status.ok()) {
    Clear(bit);
    return status;
  }
  Publish(bit, filter);
  return absl::OkStatus();
}

Status Tables::SetPeers(unsigned bit, std::vector<Cidr> peers, std::vector<Cidr> excluded) {
  const auto found = filters_.find(bit);
  if (found == filters_.end()) return absl::OkStatus();
  found->second.prefixes[FL_PEER] = std::move(peers);
  found->second.excluded = std::move(excluded);
  FL_RETURN_IF_ERROR(CompilePrefixes());
  Assign(&memory_->excluding, bit, !found->second.excluded.empty());
  return absl::OkStatus();
}

void Tables::Clear(unsigned bit) {
  const auto found = filters_.find(bit);
  if (found == filters_.end()) return;
  const Filter filter = found->second;
  Withdraw(bit, filter);
  filters_.erase(found);
  SetIndependent(bit, filter, false);
  // Shrinking needs no room, so these cannot fail in a way that matters: what stays behind names a
  // bit that no hook has.
  (void)CompilePorts(FL_LOCAL);
  (void)CompilePorts(FL_PEER);
  (void)CompilePrefixes();
  (void)CompileCgroups();
}

void Tables::SetRule(unsigned index, const fl_rule& rule, bool exposes) {
  memory_->rule[index] = rule;
  Assign(&memory_->exposing, index, exposes);
  Assign(&memory_->looking_inside, index, rule.narrow.first_bytes != 0);
  for (unsigned action = 0; action < FL_ACTS; ++action) {
    Assign(&memory_->by_action[action], index, action == rule.action);
  }
}

bool Tables::IsSet(unsigned bit) const {
  const auto found = filters_.find(bit);
  if (found == filters_.end()) return false;
  const fl_hook& hook = memory_->hook[found->second.hook];
  const uint64_t mask = uint64_t{1} << (bit % 64);
  return ((hook.bits[FL_EGRESS].word[bit / 64] | hook.bits[FL_INGRESS].word[bit / 64]) & mask) != 0;
}

void Tables::Publish(unsigned bit, const Filter& filter) {
  fl_hook& hook = memory_->hook[filter.hook];
  for (const unsigned direction : {FL_EGRESS, FL_INGRESS}) {
    if (!(direction == FL_EGRESS ? filter.egress : filter.ingress)) continue;
    Assign(&hook.bits[direction], bit, true);
    __atomic_or_fetch(&hook.words[direction], 1u << (bit / 64), __ATOMIC_RELEASE);
  }
}

void Tables::Withdraw(unsigned bit, const Filter& filter) {
  fl_hook& hook = memory_->hook[filter.hook];
  for (const unsigned direction : {FL_EGRESS, FL_INGRESS}) {
    Assign(&hook.bits[direction], bit, false);
    if (hook.bits[direction].word[bit / 64] == 0) {
      __atomic_and_fetch(&hook.words[direction], ~(1u << (bit / 64)), __ATOMIC_RELEASE);
    }
  }
}

void Tables::SetIndependent(unsigned bit, const Filter& filter, bool on) {
  for (unsigned protocol = 0; protocol < FL_PROTOS; ++protocol) {
    const bool wanted = filter.protocols.empty() || filter.protocols.contains(protocol);
    Assign(&memory_->protocol[protocol], bit, on && wanted);
  }
  for (const unsigned side : {FL_LOCAL, FL_PEER}) {
    Assign(&memory_->any_port[side], bit, on && !filter.ports[side]);
    Assign(&memory_->any_address[side], bit, on && filter.prefixes[side].empty());
  }
  Assign(&memory_->excluding, bit, on && !filter.excluded.empty());
  Assign(&memory_->any_cgroup, bit, on && !filter.cgroup);
}

std::vector<Tables::Segment> Tables::SegmentsOf(unsigned side) const {
  // The bits that begin or end to hold at a port.
  std::map<uint32_t, Bits> edges;
  for (const auto& [bit, filter] : filters_) {
    if (!filter.ports[side]) continue;
    std::vector<PortRange> ranges = *filter.ports[side];
    std::sort(ranges.begin(), ranges.end());
    uint32_t covered = 0;  // ports below it have been seen to
    for (const PortRange& range : ranges) {
      const uint32_t first = std::max<uint32_t>(range.first, covered), end = range.last + 1u;
      if (first >= end) continue;
      for (const uint32_t edge : {first, end}) {
        edges.try_emplace(edge).first->second[bit / 64] ^= uint64_t{1} << (bit % 64);
      }
      covered = end;
    }
  }
  std::vector<Segment> segments;
  Bits bits{};
  for (auto edge = edges.begin(); edge != edges.end(); ++edge) {
    for (unsigned i = 0; i < FL_WORDS; ++i) bits[i] ^= edge->second[i];
    if (bits == Bits{}) continue;
    const auto last = static_cast<uint16_t>(std::next(edge)->first - 1);
    segments.push_back({{static_cast<uint16_t>(edge->first), last}, bits});
  }
  return segments;
}

StatusOr<unsigned> Tables::ClassOf(unsigned side, const Bits& bits, std::set<unsigned>* used) {
  const auto known = class_of_bits_[side].find(bits);
  if (known != class_of_bits_[side].end()) return known->second;
  if (used->size() + 1 >= FL_MAX_PORT_CLASSES) {
    return MakeError(StatusCode::kResourceExhausted,
                     "filters name more than {} different sets of ports", FL_MAX_PORT_CLASSES - 1);
  }
  unsigned number = last_class_[side];
  // Round and round: a number that a packet on another CPU just read is not soon another set.
  do number = number % (FL_MAX_PORT_CLASSES - 1) + 1;
  while (used->contains(number));
  last_class_[side] = number;
  used->insert(number);
  fl_bits* slot = &memory_->port_class_bits[side][number];
  for (unsigned i = 0; i < FL_WORDS; ++i) Store(&slot->word[i], bits[i]);
  class_of_bits_[side].emplace(bits, number);
  return number;
}

Status Tables::CompilePorts(unsigned side) {
  std::map<Bits, unsigned> classes;
  std::set<unsigned> used;
  for (const auto& [bits, number] : class_of_bits_[side]) used.insert(number);
  std::vector<uint16_t> wanted(std::size(memory_->port_class[side]));
  for (const Segment& segment : SegmentsOf(side)) {
    FL_ASSIGN_OR_RETURN(const unsigned number, ClassOf(side, segment.bits, &used));
    classes[segment.bits] = number;
    std::fill(wanted.begin() + segment.ports.first, wanted.begin() + segment.ports.last + 1,
              static_cast<uint16_t>(number));
  }
  for (size_t port = 0; port < wanted.size(); ++port) {
    __u16* held = &memory_->port_class[side][port];
    if (*held != wanted[port]) __atomic_store_n(held, wanted[port], __ATOMIC_RELEASE);
  }
  class_of_bits_[side] = std::move(classes);
  return absl::OkStatus();
}

Status Tables::CompilePrefixes() {
  std::map<PrefixKey, Covering> own;
  const auto add = [&own](unsigned side, unsigned bit, const Cidr& cidr, Bits Covering::* bits) {
    const auto [address, length] = Mapped(cidr);
    PrefixKey key{};
    key[0] = static_cast<uint8_t>(side);
    std::copy(address.begin(), address.end(), key.begin() + 1);
    key[17] = static_cast<uint8_t>(length);
    (own.try_emplace(key).first->second.*bits)[bit / 64] |= uint64_t{1} << (bit % 64);
  };
  for (const auto& [bit, filter] : filters_) {
    for (const unsigned side : {FL_LOCAL, FL_PEER}) {
      for (const Cidr& cidr : filter.prefixes[side]) add(side, bit, cidr, &Covering::in);
    }
    for (const Cidr& cidr : filter.excluded) add(FL_PEER, bit, cidr, &Covering::out);
  }
  std::map<PrefixKey, Covering> wanted;
  for (const auto& [inner, ignored] : own) {
    Covering& sum = wanted[inner];
    for (const auto& [outer, bits] : own) {
      if (!Covers(outer, inner)) continue;
      for (unsigned i = 0; i < FL_WORDS; ++i) {
        sum.in[i] |= bits.in[i];
        sum.out[i] |= bits.out[i];
      }
    }
  }
  for (auto it = prefixes_.begin(); it != prefixes_.end();) {
    const fl_prefix_key key = ToKey(it->first);
    if (wanted.contains(it->first) || bpf_map_delete_elem(prefixes_fd_, &key) != 0) {
      ++it;
    } else {
      it = prefixes_.erase(it);
    }
  }
  for (const auto& [prefix, covering] : wanted) {
    const auto known = prefixes_.find(prefix);
    if (known != prefixes_.end() && known->second == covering) continue;
    const fl_prefix_key key = ToKey(prefix);
    if (bpf_map_update_elem(prefixes_fd_, &key, &covering, BPF_ANY) != 0) {
      return UpdateFailed("networks");
    }
    prefixes_[prefix] = covering;
  }
  return absl::OkStatus();
}

Status Tables::CompileCgroups() {
  std::map<uint64_t, Bits> wanted;
  uint64_t levels = 0;
  for (const auto& [bit, filter] : filters_) {
    if (!filter.cgroup) continue;
    wanted[filter.cgroup->id][bit / 64] |= uint64_t{1} << (bit % 64);
    levels |= uint64_t{1} << filter.cgroup->level;
  }
  for (const auto& [id, bits] : cgroups_) {
    if (!wanted.contains(id)) bpf_map_delete_elem(cgroups_fd_, &id);
  }
  for (const auto& [id, bits] : wanted) {
    if (bpf_map_update_elem(cgroups_fd_, &id, bits.data(), BPF_ANY) != 0) {
      return UpdateFailed("cgroups");
    }
  }
  cgroups_ = std::move(wanted);
  Store(&memory_->cgroup_levels, levels);
  return absl::OkStatus();
}

}  // namespace faultline::network
