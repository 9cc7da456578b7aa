// Numbers with units as people write them: "100", "100ms", "0.1 s", "5%".
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace faultline {

// Value of `text` in `unit`. `unit` is one of ns, us, ms, s, m, h (time); B, KB, MB, GB, KiB, MiB,
// GiB, bytes (size); bps, kbps, mbps, gbps (rate, bit/s); % ; or empty (plain number). A text
// without a unit is taken in `unit`; with one, in capitals or not, it is converted within the
// dimension.
// INVALID_ARGUMENT whose message tells the allowed units ("a number, or one with ns, us, ms, ...").
StatusOr<double> ParseQuantity(std::string_view text, std::string_view unit);

// "ns, us, ms, s, m, h" for a time unit, and so on; empty for a plain number.
std::string UnitsLike(std::string_view unit);

}  // namespace faultline
