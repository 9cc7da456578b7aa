// Whether an experiment may begin: all that the state decides. Used by the leader before it
// proposes, and again when the command is applied, which is what counts.
#pragma once

#include <vector>

#include "base/status.h"
#include "control/state.h"

namespace faultline::control {

struct Admission {
  // Set when the request id is known and the request is the same: the answer is this experiment.
  const v1::ExperimentRecord* repeated = nullptr;
  std::vector<const chaos::v1::Target*> targets;  // by id; into the state
};

// ALREADY_EXISTS (REQUEST_ID_REUSED), INVALID_ARGUMENT, NOT_FOUND (control/selector.h),
// FAILED_PRECONDITION with reason AGENT_DISCONNECTED, CAPABILITY_MISSING (the agent's own sentence)
// or TARGET_BUSY (naming the other experiment). The command's own fields are taken as validated.
StatusOr<Admission> Admit(const State& state, const v1::CreateExperiment& command);

}  // namespace faultline::control
