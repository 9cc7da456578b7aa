// What an agent has measured of its targets and faults, as Prometheus sees it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/sample_totals.h"
#include "chaos/v1/experiment.pb.h"
#include "http/exposition.h"

namespace faultline::agent {

// What is not seen of a target, whatever happens to it.
struct Unseen {
  bool sockets = false;   // what TCP keeps of its own
  bool failures = false;  // connections of these that fail
  bool incoming = false;  // what comes in, and so which answer is whose
};
using UnseenByTarget = std::map<std::string, Unseen>;  // by id
// Of these targets, on a host that can do that.
UnseenByTarget UnseenOf(const std::vector<chaos::v1::Target>& targets,
                        const std::vector<chaos::v1::Capability>& capabilities);

// A histogram in which nothing was counted is left out: of hundreds of targets most would be. So is
// what is not seen of a target: a 0 would say that it did not happen. All else is there from its
// target's or fault's beginning, 0 or not. On any thread.
void AddTotals(const SampleTotals& totals, const UnseenByTarget& unseen, http::Families& families);

}  // namespace faultline::agent
