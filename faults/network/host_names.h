// Names of peers to their addresses, looked up again and again away from the agent's strand.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "faults/network/filter_spec.h"

namespace faultline::network {

class HostNames {
 public:
  // How old an answer may be before the name is looked up anew.
  static constexpr std::chrono::seconds kEvery{5};
  // A name that nobody has asked for this long is forgotten.
  static constexpr std::chrono::seconds kForgotten{60};
  // Of one name; those beyond it are left out.
  static constexpr size_t kMaxAddresses = 64;

  // All addresses of a name, sorted; an error with a sentence. Blocks as long as it takes.
  using LookUp = std::function<StatusOr<std::vector<Cidr>>(const std::string& name)>;

  // By the host's resolver, as the agent's own process has it.
  HostNames();
  explicit HostNames(LookUp look_up, std::chrono::milliseconds every = kEvery);
  // Does not wait for a lookup that is under way.
  ~HostNames();

  // The newest addresses, IPv4 and IPv6; a name that fails later keeps its last ones. Never blocks.
  // UNAVAILABLE while the first lookup is under way, FAILED_PRECONDITION when it failed: it is
  // tried again all the same.
  StatusOr<std::vector<Cidr>> AddressesOf(const std::string& name);

 private:
  struct State;
  // Shared with the thread, which may outlive the object inside a lookup.
  const std::shared_ptr<State> state_;
};

}  // namespace faultline::network
