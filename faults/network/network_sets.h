// Which filters name which networks, and which leave them out: for each prefix that a filter names
// a bit vector of all whose prefixes cover it.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "base/status.h"
#include "faults/network/bit_sets.h"
#include "faults/network/datapath.h"
#include "faults/network/filter_spec.h"

namespace faultline::network {

// A network as the programs compare a packet's address with it.
fl_sole_peer SolePeer(const Cidr& cidr);

// One thread.
class NetworkSets {
 public:
  enum class Way { kIn, kOut };

  // `map_fd` is the map fl_prefixes. Both outlive this.
  NetworkSets(int map_fd, BitSets* sets) : map_fd_(map_fd), sets_(sets) {}

  // The bit names that network on that side (or leaves it out). For what other bits name nothing
  // changes at any moment. A bit may name networks that overlap, and one of them twice.
  // RESOURCE_EXHAUSTED when the kernel's table is full, or as BitSets; Remove undoes what was done.
  Status Add(unsigned bit, unsigned side, const Cidr& cidr, Way way);
  void Remove(unsigned bit, unsigned side, const Cidr& cidr, Way way);

 private:
  static constexpr unsigned kBits = 128;
  using Key = std::array<uint8_t, 18>;  // FL_PREFIX_OF, address, bits
  struct Half {
    std::multiset<unsigned> own;  // bits that name this very prefix
    unsigned set = 0;             // with those of all that cover it; 0: none
  };
  struct Node {
    std::array<Half, 2> halves;  // by Way
  };
  using Nodes = std::map<Key, Node>;

  static Key KeyOf(unsigned side, const Cidr& cidr);
  static fl_prefix_key Shared(const Key& key);
  static bool Covers(const Key& outer, const Key& inner);
  // Calls `visit` for every node that covers the key and is not it, longest first, until it says
  // true; whether it did.
  template <typename Visit>
  bool AnyCovering(const Key& key, const Visit& visit);
  Status MakeNode(const Key& key, Nodes::iterator* made);
  Status Put(unsigned bit, Nodes::iterator node, size_t way);
  Status Write(const Key& key, const Node& node);

  const int map_fd_;
  BitSets* const sets_;
  Nodes nodes_;
  std::array<unsigned, kBits + 1> lengths_{};  // how many prefixes there are of each
};

}  // namespace faultline::network
