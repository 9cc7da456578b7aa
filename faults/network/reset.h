// Ending TCP connections. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "faults/network/answer.h"

namespace faultline::network {

// The resets for a segment: one goes on in its place, with its sequence number, one back to its
// sender, with the number that it says to expect. For an opening (SYN) this is a refusal, which
// only goes back. Nothing for what is no TCP segment, or a reset itself.
std::vector<Answer> ResetsFor(std::span<const uint8_t> frame, unsigned direction);

}  // namespace faultline::network
