// The state machine: what a committed command does. Pure and deterministic.
#pragma once

#include <set>
#include <string>

#include "control/state.h"

namespace faultline::control {

// Lowest version (control/version.h) at which an agent's registration tells a lease.
inline constexpr uint32_t kLeaseVersion = 10;

// What one command changed, for those who watch.
struct Outcome {
  v1::Result result;
  std::set<uint64_t> experiments;  // created_index of those that changed
  std::set<std::string> agents;    // ids whose record or desired state changed
};

// Applies the command at `index` (above any applied before). A refused command changes nothing, and
// says why in result.error. Without `wanted` nobody reads the result, and its experiments are left
// out.
Outcome Apply(State& state, v1::Command command, uint64_t index, bool wanted = true);

// chaos.v1.ErrorStatus with the status's detail, and back.
chaos::v1::ErrorStatus ToError(const Status& status);
Status FromError(const chaos::v1::ErrorStatus& error);

}  // namespace faultline::control
