// User space's side of the classifier: filters in, bit vectors out.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/status.h"
#include "faults/network/bit_sets.h"
#include "faults/network/datapath.h"
#include "faults/network/filter_spec.h"
#include "faults/network/network_sets.h"
#include "faults/network/port_sets.h"

namespace faultline::network {

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

// Which properties a filter asks for, FL_ASKS_: rules of one kind of filter that share words of
// the vectors are told in the summaries, others are not.
unsigned ShapeOf(const Filter& filter);

// One thread. Writes to memory that the kernel reads at the same time: a bit begins to match, or
// ceases to, with one store, after (before) all else that concerns it; connections that the
// programs remember as no rule's follow with the next generation, before the call returns. The work
// for a bit does not grow with the others, but for prefixes that its own cover.
class Tables {
 public:
  // `memory` is the mapped element of fl_tables; the descriptors are the maps fl_prefixes and
  // fl_cgroups; `grow` makes chunks of fl_sets. All outlive this.
  Tables(fl_tables* memory, int prefixes_fd, int cgroups_fd, BitSets::Grow grow);

  // The bit matches these packets from now on. The bit must not be set.
  // RESOURCE_EXHAUSTED when there are more port sets or prefixes than the tables hold.
  Status Set(unsigned bit, const Filter& filter);
  // The same, and from the same moment on `old`, if it is set, matches nothing. When both
  // are in one word of the vectors, at one hook, every packet meets one of them and none both.
  // When this fails nothing has changed.
  Status Replace(unsigned old, unsigned bit, const Filter& filter);
  // Other peers for a bit that is set, without a moment in which those that stay do not match; some
  // before and after, or none before and after. RESOURCE_EXHAUSTED as Set.
  Status SetPeers(unsigned bit, std::vector<Cidr> peers, std::vector<Cidr> excluded);
  // The bit matches nothing from now on; OK when it is not set.
  void Clear(unsigned bit);
  // What the kernel would do with it, from the shared memory.
  bool IsSet(unsigned bit) const;

  fl_hook& hook(unsigned index) { return memory_->hook[index]; }
  // Of a rule whose bit is not set, or its deadline.
  fl_rule& rule(unsigned index) { return memory_->rule[index]; }

 private:
  struct Cgroup {
    unsigned users = 0;
    unsigned level = 0;
    unsigned set = 0;
  };

  // How many bits look at a hook, and how many of them ask for what.
  struct Asking {
    unsigned bits = 0, local_port = 0, peer_port = 0;
  };

  // All but the bit at its hook.
  Status Prepare(unsigned bit, const Filter& filter);
  void Publish(unsigned bit, const Filter& filter);
  void Withdraw(unsigned bit, const Filter& filter);
  // All but that, of a bit that has been withdrawn.
  void Forget(unsigned bit);
  void SetIndependent(unsigned bit, const Filter& filter, bool on);
  // Of a rule's bit that is not set.
  void SetSolePeer(unsigned bit, const Filter& filter);
  Status ChangePeers(unsigned bit, Filter* filter, std::vector<Cidr> peers,
                     std::vector<Cidr> excluded);
  // A filter of that shape comes to the hook, before it is published, or has gone from it.
  void Join(unsigned hook_index, unsigned shape);
  void Leave(unsigned hook_index, unsigned shape);
  void SetAllAsk(unsigned hook_index);
  // What the programs have remembered of connections is not true any more.
  void Announce();
  Status AddNetworks(unsigned bit, const Filter& filter);
  Status JoinCgroup(unsigned bit, const Filter::Cgroup& cgroup);
  void LeaveCgroup(unsigned bit, const Filter::Cgroup& cgroup);

  fl_tables* const memory_;
  const int cgroups_fd_;
  BitSets sets_;
  std::array<PortSets, 2> ports_;  // by side
  NetworkSets networks_;
  std::map<unsigned, Filter> filters_;
  std::array<Asking, FL_MAX_HOOKS> asking_{};
  std::map<uint64_t, Cgroup> cgroups_;   // by id
  std::array<unsigned, 64> on_level_{};  // how many cgroups are at each
};

}  // namespace faultline::network
