// Actions that undo what a driver did to the host, run by the guardian when the agent is gone, and
// by the agent at its start from the journal. Each does nothing when there is nothing left to undo,
// and touches only what Faultline made.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"

namespace faultline::faults {

// INVALID_ARGUMENT for an unknown kind; else the action's own failure.
Status Undo(const std::string& kind, const std::vector<std::string>& arguments);

}  // namespace faultline::faults
