// Failing attempts to open TCP connections. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "faults/network/answer.h"

namespace faultline::network {

enum class Refusal { kReset, kHostUnreachable, kNetUnreachable };

// The refusal of the opening in this frame: goes back to its sender, a reset as from a host where
// nobody listens, or ICMP as from a router. Nothing for what is no opening.
std::vector<Answer> RefusalOf(Refusal how, std::span<const uint8_t> frame, unsigned direction);

}  // namespace faultline::network
