// The API's states as words for people, logs and metrics.
#pragma once

#include <string>

#include "chaos/v1/experiment.pb.h"

namespace faultline {

// "running", from EXPERIMENT_STATUS_RUNNING; "active", from TARGET_PHASE_ACTIVE. Empty for what
// this version does not know.
std::string StatusWord(chaos::v1::ExperimentStatus status);
std::string PhaseWord(chaos::v1::TargetPhase phase);

}  // namespace faultline
