// Names of peers to their addresses, looked up again and again away from the agent's strand.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "faults/network/filter_spec.h"

namespace faultline::network {

// What getaddrinfo's error `error` of a name means: UNAVAILABLE when the resolver could not tell,
// FAILED_PRECONDITION when it has said no, both with its own words.
Status ResolverError(std::string_view name, int error);

class HostNames {
 public:
  // How old an answer may be before the name is looked up anew.
  static constexpr std::chrono::seconds kEvery{5};
  // When the resolver is away for a moment, it is asked again so soon.
  static constexpr std::chrono::seconds kAgain{1};
  // How long the first answer may take: two nameservers that are dead, at glibc's five seconds.
  static constexpr std::chrono::seconds kFirstAnswer{15};
  // Names that are looked up at the same time, so that a slow one holds no other.
  static constexpr int kAtOnce = 8;
  // A name that nobody has asked for this long is forgotten.
  static constexpr std::chrono::seconds kForgotten{60};
  // Of one name; those beyond it are left out.
  static constexpr size_t kMaxAddresses = 64;

  // All addresses of a name, sorted; an error with a sentence. Blocks as long as it takes. Called
  // by several threads.
  using LookUp = std::function<StatusOr<std::vector<Cidr>>(const std::string& name)>;

  // By the host's resolver, as the agent's own process has it.
  HostNames();
  explicit HostNames(LookUp look_up, std::chrono::milliseconds every = kEvery,
                     std::chrono::milliseconds first_answer = kFirstAnswer);
  // Does not wait for lookups that are under way.
  ~HostNames();

  // The newest addresses, IPv4 and IPv6; a name that fails later keeps its last ones. Never blocks.
  // UNAVAILABLE with the reason faults::kUnderWay while the first lookup is under way, and
  // DEADLINE_EXCEEDED when that takes longer than kFirstAnswer. Else the error of the newest
  // lookup, as ResolverError: it is tried again all the same.
  StatusOr<std::vector<Cidr>> AddressesOf(const std::string& name);

 private:
  struct State;
  // Shared with the threads, which may outlive the object inside a lookup.
  const std::shared_ptr<State> state_;
};

}  // namespace faultline::network
