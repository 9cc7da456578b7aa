// What a rule does to the frames that it sends through the lane.
#pragma once

#include <variant>

#include "faults/network/delay.h"

namespace faultline::network {

// One alternative for each thing that the lane can do to a frame.
using LaneRule = std::variant<DelayModel>;

}  // namespace faultline::network
