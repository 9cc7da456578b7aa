// Where delayed packets wait, and what is told of it.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "chaos/v1/experiment.pb.h"
#include "faults/network/fq_lanes.h"

namespace faultline::network {

// Of "auto", "tap" or "fq": kTap or kFq, whichever this kernel will have. INVALID_ARGUMENT for
// another word, FAILED_PRECONDITION for "fq" where the kernel has none.
StatusOr<LaneChoice> ChooseLane(const std::string& word);

// What the kernel can do, "fq" only if it is used.
std::vector<chaos::v1::Capability> CapabilitiesWith(LaneChoice choice);

}  // namespace faultline::network
