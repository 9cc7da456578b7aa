// Waiting for an experiment to get somewhere, over a watch stream that survives its node.
#pragma once

#include <functional>

#include "chaos/v1/chaos.pb.h"
#include "cli/session.h"

namespace faultline::cli {

// True when no pair of fault and target is still to be armed.
bool IsArmed(const chaos::v1::Experiment& experiment);

// The experiment as soon as it is armed wherever it can be, or has ended. `experiment` is its state
// as known now. CANCELLED by Ctrl-C.
StatusOr<chaos::v1::Experiment> WaitUntilArmed(Session& session, client::Client& client,
                                               const chaos::v1::Experiment& experiment);

}  // namespace faultline::cli
