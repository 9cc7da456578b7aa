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

void Tables::SetRule(unsigned index, const fl_rule& rule) {
  memory_->rule[index] = rule;
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
  Assign(&memory_->any_cgroup, bit, on && !filter.cgroup);
}

Status Tables::CompilePorts(unsigned side) {
  std::map<uint16_t, Bits> wanted;
  for (const auto& [bit, filter] : filters_) {
    if (!filter.ports[side]) continue;
    for (const uint16_t port : *filter.ports[side]) {
      wanted.try_emplace(port).first->second[bit / 64] |= uint64_t{1} << (bit % 64);
    }
  }
  std::map<Bits, unsigned> classes;
  std::set<unsigned> used;
  for (const auto& [bits, number] : class_of_bits_[side]) used.insert(number);
  for (const auto& [port, bits] : wanted) {
    auto known = class_of_bits_[side].find(bits);
    if (known == class_of_bits_[side].end()) {
      if (used.size() + 1 >= FL_MAX_PORT_CLASSES) {
        return MakeError(StatusCode::kResourceExhausted,
                         "filters name more than {} different sets of ports",
                         FL_MAX_PORT_CLASSES - 1);
      }
      unsigned number = last_class_[side];
      // Round and round: a number that a packet on another CPU just read is not soon another set.
      do number = number % (FL_MAX_PORT_CLASSES - 1) + 1;
      while (used.contains(number));
      last_class_[side] = number;
      used.insert(number);
      fl_bits* slot = &memory_->port_class_bits[side][number];
      for (unsigned i = 0; i < FL_WORDS; ++i) Store(&slot->word[i], bits[i]);
      known = class_of_bits_[side].emplace(bits, number).first;
    }
    classes.insert(*known);
    __atomic_store_n(&memory_->port_class[side][port], static_cast<__u16>(known->second),
                     __ATOMIC_RELEASE);
  }
  for (const auto& [port, number] : port_classes_[side]) {
    if (!wanted.contains(port)) memory_->port_class[side][port] = 0;
  }
  port_classes_[side].clear();
  for (const auto& [port, bits] : wanted) port_classes_[side][port] = classes.at(bits);
  class_of_bits_[side] = std::move(classes);
  return absl::OkStatus();
}

Status Tables::CompilePrefixes() {
  std::map<PrefixKey, Bits> own;
  for (const auto& [bit, filter] : filters_) {
    for (const unsigned side : {FL_LOCAL, FL_PEER}) {
      for (const Cidr& cidr : filter.prefixes[side]) {
        const auto [address, bits] = Mapped(cidr);
        PrefixKey key{};
        key[0] = static_cast<uint8_t>(side);
        std::copy(address.begin(), address.end(), key.begin() + 1);
        key[17] = static_cast<uint8_t>(bits);
        own.try_emplace(key).first->second[bit / 64] |= uint64_t{1} << (bit % 64);
      }
    }
  }
  std::map<PrefixKey, Bits> wanted;
  for (const auto& [inner, ignored] : own) {
    Bits& sum = wanted[inner];
    for (const auto& [outer, bits] : own) {
      if (!Covers(outer, inner)) continue;
      for (unsigned i = 0; i < FL_WORDS; ++i) sum[i] |= bits[i];
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
  for (const auto& [prefix, bits] : wanted) {
    const auto known = prefixes_.find(prefix);
    if (known != prefixes_.end() && known->second == bits) continue;
    const fl_prefix_key key = ToKey(prefix);
    if (bpf_map_update_elem(prefixes_fd_, &key, bits.data(), BPF_ANY) != 0) {
      return UpdateFailed("networks");
    }
    prefixes_[prefix] = bits;
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
