// A rule's peers, by address and by name.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "faults/network/host_names.h"
#include "faults/network/tables.h"

namespace faultline::network {

// Not thread-safe.
class NamedPeers {
 public:
  struct Names {
    std::vector<std::string> in, out;
  };

  NamedPeers() = default;
  // `filter` has the peers that are given by address.
  NamedPeers(const Filter& filter, Names names)
      : given_(filter.prefixes[FL_PEER]), given_out_(filter.excluded), names_(std::move(names)) {}

  // Puts all peers into the filter. The error of HostNames, with the parameter before it, when a
  // name has no addresses.
  Status Fill(HostNames* host_names, Filter* filter);
  // Tells the kernel when the addresses of a name have changed; what cannot be told is logged.
  void Follow(HostNames* host_names, Tables* tables, unsigned bit);

 private:
  Status Resolve(HostNames* host_names, std::vector<Cidr>* in, std::vector<Cidr>* out) const;

  std::vector<Cidr> given_, given_out_;
  Names names_;
  std::vector<Cidr> told_, told_out_;  // what the kernel has
};

}  // namespace faultline::network
