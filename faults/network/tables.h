// User space's side of the classifier: filters in, bit vectors out.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/status.h"
#include "faults/network/datapath.h"
#include "faults/network/filter_spec.h"

namespace faultline::network {

// Position in fl_bits: rules first, then targets.
constexpr unsigned RuleBit(unsigned rule) { return rule; }
constexpr unsigned TargetBit(unsigned target) { return FL_MAX_RULES + target; }

// Which packets a bit stands for; all that is given must hold.
struct Filter {
  unsigned hook = 0;
  bool egress = false;
  bool ingress = false;
  std::set<unsigned> protocols;  // FL_PROTO_; empty is any
  // By side (FL_LOCAL, FL_PEER). No value is any; an empty set is none.
  std::array<std::optional<std::vector<PortRange>>, 2> ports;
  std::array<std::vector<Cidr>, 2> prefixes;  // empty is any
  std::vector<Cidr> excluded;                 // peers
  // Id and depth below the root of a cgroup; only egress packets can be told by it.
  struct Cgroup {
    uint64_t id = 0;
    unsigned level = 0;
  };
  std::optional<Cgroup> cgroup;
};

// One thread. Writes to memory that the kernel reads at the same time: a bit begins to match, or
// ceases to, with one store, after (before) all else that concerns it.
class Tables {
 public:
  // `memory` is the mapped element of fl_tables; the descriptors are the maps fl_prefixes and
  // fl_cgroups. All outlive this.
  Tables(fl_tables* memory, int prefixes_fd, int cgroups_fd);

  // The bit matches these packets from now on. The bit must not be set.
  // RESOURCE_EXHAUSTED when there are more port sets or prefixes than the tables hold.
  Status Set(unsigned bit, const Filter& filter);
  // Other peers for a bit that is set, without a moment in which those that stay do not match; some
  // before and after, or none before and after. RESOURCE_EXHAUSTED as Set.
  Status SetPeers(unsigned bit, std::vector<Cidr> peers, std::vector<Cidr> excluded);
  // The bit matches nothing from now on; OK when it is not set.
  void Clear(unsigned bit);
  // What the kernel would do with it, from the shared memory.
  bool IsSet(unsigned bit) const;

  fl_hook& hook(unsigned index) { return memory_->hook[index]; }
  fl_rule& rule(unsigned index) { return memory_->rule[index]; }
  // What a rule does to its packets, and whether protected ones are among them. Its bit must not be
  // set.
  void SetRule(unsigned index, const fl_rule& rule, bool exposes);

 private:
  using PrefixKey = std::array<uint8_t, 18>;  // side, address, bits
  using Bits = std::array<uint64_t, FL_WORDS>;
  struct Covering {  // as fl_covering
    Bits in{};
    Bits out{};
    bool operator==(const Covering&) const = default;
  };
  static_assert(sizeof(Covering) == sizeof(fl_covering));
  // Ports with the same bits, one after another.
  struct Segment {
    PortRange ports;
    Bits bits{};
  };

  void Publish(unsigned bit, const Filter& filter);
  void Withdraw(unsigned bit, const Filter& filter);
  void SetIndependent(unsigned bit, const Filter& filter, bool on);
  std::vector<Segment> SegmentsOf(unsigned side) const;
  StatusOr<unsigned> ClassOf(unsigned side, const Bits& bits, std::set<unsigned>* used);
  Status CompilePorts(unsigned side);
  Status CompilePrefixes();
  Status CompileCgroups();

  fl_tables* const memory_;
  const int prefixes_fd_;
  const int cgroups_fd_;
  std::map<unsigned, Filter> filters_;
  std::array<std::map<Bits, unsigned>, 2> class_of_bits_;
  std::array<unsigned, 2> last_class_{};    // the next free one is looked for after it
  std::map<PrefixKey, Covering> prefixes_;  // what the trie holds
  std::map<uint64_t, Bits> cgroups_;
};

}  // namespace faultline::network
