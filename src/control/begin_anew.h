// How the saved state of one cluster becomes the beginning of another one.
#pragma once

#include <string>
#include <string_view>

#include "control/lifecycle.h"
#include "control/state.h"

namespace faultline::control {

// The state is another cluster's from now on. What has not ended is ended, as by a stop with that
// reason: it may have been stopped since the state was saved. Like after any stop it is over once
// its agents say so, or have been away for long enough. No agent is connected, and webhooks
// are told nothing of what was. Returns how many
// experiments were ended.
size_t BeginAnew(State* state, const std::string& cluster_id, std::string_view reason,
                 const Moment& moment);

}  // namespace faultline::control
