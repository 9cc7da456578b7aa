// Names that DNS faults are about. Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace faultline::network {

// Most addresses of one answer: with the longest question it fits in 512 bytes, which every client
// takes.
inline constexpr int kMaxDnsAddresses = 8;

// "db.example.com", "*.example.com" or "*" as MatchesName wants it: lower case, without the dot at
// the end. INVALID_ARGUMENT for what is none of these.
StatusOr<std::string> ParseNamePattern(std::string_view text);

// Whether the pattern means that name, which is in lower case and has no dot at the end.
bool MatchesName(std::string_view pattern, std::string_view name);

}  // namespace faultline::network
