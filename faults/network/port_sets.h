// Which filters name which ports: runs of ports that the same filters name, each with a bit vector.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/status.h"
#include "faults/network/bit_sets.h"
#include "faults/network/filter_spec.h"

namespace faultline::network {

// One side's. One thread.
class PortSets {
 public:
  static constexpr uint32_t kPorts = 65536;

  // `numbers` is one side of fl_tables::port_set. Both outlive this.
  PortSets(__u16* numbers, BitSets* sets) : numbers_(numbers), sets_(sets) {}

  // The bit names these ports. For what other bits name nothing changes at any moment.
  // RESOURCE_EXHAUSTED as BitSets; what was done is undone by Remove.
  Status Add(unsigned bit, const std::vector<PortRange>& ranges);
  void Remove(unsigned bit, const std::vector<PortRange>& ranges);

 private:
  struct Run {
    uint32_t last = 0;
    unsigned set = 0;
  };
  using Runs = std::map<uint32_t, Run>;  // by first port; they do not overlap

  Status AddRange(unsigned bit, uint32_t first, uint32_t last);
  void RemoveRange(unsigned bit, uint32_t first, uint32_t last);
  // Lets a run begin at that port if one goes over it.
  Status SplitAt(uint32_t port);
  // Makes one run of this one and the one before, when they touch and are alike.
  void JoinBefore(Runs::iterator run);
  void Number(uint32_t first, uint32_t last, unsigned set);

  __u16* const numbers_;
  BitSets* const sets_;
  Runs runs_;
};

}  // namespace faultline::network
