#include "faults/network/network_sets.h"

#include <bpf/bpf.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace faultline::network {
namespace {

constexpr size_t kLengthAt = 17;

// Of a mask of so many bits, that byte.
uint8_t MaskByte(unsigned bits, unsigned at) {
  const unsigned kept = std::min(8u, bits > 8 * at ? bits - 8 * at : 0);
  return static_cast<uint8_t>(0xff00u >> kept);
}

// Without the bits behind the first `bits`.
void Cut(std::array<uint8_t, 18>* key, unsigned bits) {
  for (unsigned i = 0; i < 16; ++i) (*key)[1 + i] &= MaskByte(bits, i);
  (*key)[kLengthAt] = static_cast<uint8_t>(bits);
}

}  // namespace

fl_sole_peer SolePeer(const Cidr& cidr) {
  fl_sole_peer sole{};
  sole.family = cidr.ipv6 ? FL_SOLE_IPV6 : FL_SOLE_IPV4;
  // IPv4 stands in the last of the four words.
  auto* const address = reinterpret_cast<uint8_t*>(&sole.address[cidr.ipv6 ? 0 : 3]);
  auto* const mask = reinterpret_cast<uint8_t*>(&sole.mask[cidr.ipv6 ? 0 : 3]);
  for (unsigned i = 0; i < (cidr.ipv6 ? 16u : 4u); ++i) {
    mask[i] = MaskByte(cidr.prefix_bits, i);
    address[i] = cidr.address[i] & mask[i];
  }
  return sole;
}

NetworkSets::Key NetworkSets::KeyOf(unsigned side, const Cidr& cidr) {
  Key key{};
  key[0] = static_cast<uint8_t>(FL_PREFIX_OF(side, !cidr.ipv6));
  std::copy_n(cidr.address.begin(), cidr.ipv6 ? 16 : 4, key.begin() + 1);
  Cut(&key, cidr.prefix_bits);
  return key;
}

bool NetworkSets::Covers(const Key& outer, const Key& inner) {
  if (outer[0] != inner[0] || outer[kLengthAt] > inner[kLengthAt]) return false;
  Key cut = inner;
  Cut(&cut, outer[kLengthAt]);
  return cut == outer;
}

template <typename Visit>
bool NetworkSets::AnyCovering(const Key& key, const Visit& visit) {
  for (unsigned bits = key[kLengthAt]; bits-- > 0;) {
    if (lengths_[bits] == 0) continue;
    Key outer = key;
    Cut(&outer, bits);
    const auto found = nodes_.find(outer);
    if (found != nodes_.end() && visit(found->second)) return true;
  }
  return false;
}

fl_prefix_key NetworkSets::Shared(const Key& key) {
  fl_prefix_key prefix{};
  prefix.prefix_bits = FL_PREFIX_BITS(key[kLengthAt]);
  prefix.of = key[0];
  std::memcpy(prefix.address, &key[1], sizeof(prefix.address));
  return prefix;
}

Status NetworkSets::Write(const Key& key, const Node& node) {
  const fl_prefix_key prefix = Shared(key);
  const fl_covering covering{node.halves[0].set, node.halves[1].set};
  if (bpf_map_update_elem(map_fd_, &prefix, &covering, BPF_ANY) == 0) return absl::OkStatus();
  return MakeError(StatusCode::kResourceExhausted, "the kernel's table of networks is full: {}",
                   ErrnoText(errno));
}

// What covers the prefix says of it what it says of the shortest network around it.
Status NetworkSets::MakeNode(const Key& key, Nodes::iterator* made) {
  Node node;
  Status status = absl::OkStatus();
  AnyCovering(key, [&](const Node& outer) {
    for (size_t way = 0; way < node.halves.size(); ++way) {
      if (outer.halves[way].set == 0 || !status.ok()) continue;
      const auto set = sets_->Make(outer.halves[way].set);
      if (set.ok()) node.halves[way].set = *set;
      status = set.status();
    }
    return true;
  });
  *made = nodes_.emplace(key, std::move(node)).first;
  ++lengths_[key[kLengthAt]];
  return status;
}

Status NetworkSets::Put(unsigned bit, Nodes::iterator node, size_t way) {
  unsigned& set = node->second.halves[way].set;
  const bool fresh = set == 0;
  if (fresh) {
    FL_ASSIGN_OR_RETURN(set, sets_->Make());
  }
  Assign(&(*sets_)[set], bit, true);
  return fresh ? Write(node->first, node->second) : absl::OkStatus();
}

Status NetworkSets::Add(unsigned bit, unsigned side, const Cidr& cidr, Way way) {
  const auto half = static_cast<size_t>(way);
  const Key key = KeyOf(side, cidr);
  auto node = nodes_.find(key);
  Status status = absl::OkStatus();
  const bool fresh = node == nodes_.end();
  if (fresh) status = MakeNode(key, &node);
  node->second.halves[half].own.insert(bit);
  FL_RETURN_IF_ERROR(status);
  const bool inherits = node->second.halves[half].set != 0;
  FL_RETURN_IF_ERROR(Put(bit, node, half));
  if (fresh && inherits) FL_RETURN_IF_ERROR(Write(key, node->second));
  for (auto inner = std::next(node); inner != nodes_.end() && Covers(key, inner->first); ++inner) {
    FL_RETURN_IF_ERROR(Put(bit, inner, half));
  }
  return absl::OkStatus();
}

void NetworkSets::Remove(unsigned bit, unsigned side, const Cidr& cidr, Way way) {
  const auto half = static_cast<size_t>(way);
  const Key key = KeyOf(side, cidr);
  const auto node = nodes_.find(key);
  if (node == nodes_.end()) return;
  auto& own = node->second.halves[half].own;
  if (const auto mine = own.find(bit); mine != own.end()) own.erase(mine);
  const auto names = [&](const Node& outer) { return outer.halves[half].own.contains(bit); };
  for (auto inner = node; inner != nodes_.end() && Covers(key, inner->first); ++inner) {
    const unsigned set = inner->second.halves[half].set;
    if (set == 0 || names(inner->second) || AnyCovering(inner->first, names)) continue;
    Assign(&(*sets_)[set], bit, false);
  }
  if (!node->second.halves[0].own.empty() || !node->second.halves[1].own.empty()) return;
  const fl_prefix_key prefix = Shared(key);
  bpf_map_delete_elem(map_fd_, &prefix);
  for (const Half& gone : node->second.halves) {
    if (gone.set != 0) sets_->GiveBack(gone.set);
  }
  --lengths_[key[kLengthAt]];
  nodes_.erase(node);
}

}  // namespace faultline::network
