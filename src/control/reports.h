// What an agent's reports say that the state does not know yet.
#pragma once

#include <vector>

#include "chaos/v1/agent.pb.h"
#include "control/state.h"

namespace faultline::control {

// The reports (a whole set, as the agent sent it) that change the state, and a REVERTED for each of
// the agent's REVERTING pairs that the set leaves out although it answers a desired state that knew
// of the end: the agent never had it. Empty when there is nothing to say.
std::vector<chaos::v1::FaultReport> NewReports(const State& state, const std::string& agent_id,
                                               const chaos::v1::FaultReports& reports);

// True when the report changes that pair of an experiment that did (not) become active so far, by
// the rules of that version of the state machine.
bool ChangesPair(const chaos::v1::FaultTarget& pair, const v1::ExperimentRecord& record,
                 const chaos::v1::FaultReport& report, uint32_t version);

}  // namespace faultline::control
