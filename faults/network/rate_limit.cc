#include "faults/network/rate_limit.h"

#include <algorithm>

namespace faultline::network {

std::optional<RateLimit::Passage> RateLimit::Pass(unsigned direction, uint64_t at_ns,
                                                  size_t bytes) {
  uint64_t& busy_until_ns = busy_until_ns_[direction];
  busy_until_ns = std::max(busy_until_ns, at_ns - std::min(at_ns, burst_ns_));
  const uint64_t needs_ns = TimeOf(bytes);
  const uint64_t waiting_ns = busy_until_ns > at_ns ? busy_until_ns - at_ns : 0;
  if (waiting_ns > 0 && waiting_ns + needs_ns > queue_ns_) return std::nullopt;
  busy_until_ns += needs_ns;
  return Passage{.delay_ns = busy_until_ns > at_ns ? busy_until_ns - at_ns : 0,
                 .waited = waiting_ns > 0};
}

}  // namespace faultline::network
