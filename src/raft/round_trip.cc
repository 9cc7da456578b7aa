#include "raft/round_trip.h"

#include <algorithm>
#include <utility>

namespace faultline::raft {
namespace {

constexpr uint64_t kHeartbeatRoundTrips = 1;
constexpr uint64_t kElectionRoundTrips = 6;
constexpr uint64_t kMaxHeartbeatMs = 10'000 * kHeartbeatRoundTrips / kElectionRoundTrips;
constexpr uint64_t kMaxElectionMs = 10'000;

uint32_t Between(uint32_t low, uint64_t value, uint64_t high) {
  return static_cast<uint32_t>(std::max<uint64_t>(low, std::min(value, high)));
}

bool Differs(uint32_t from, uint32_t to) {
  const uint32_t difference = from > to ? from - to : to - from;
  return difference * 8 > from;
}

}  // namespace

void RoundTrip::Sample(uint64_t echo_sent_ns, uint64_t now_ns) {
  if (echo_sent_ns == 0 || echo_sent_ns < newest_answer_ns_ || echo_sent_ns >= now_ns) return;
  newest_answer_ns_ = now_ns;
  if (std::exchange(restarting_, false)) count_ = 0;
  kept_[count_++ % kKept] = now_ns - echo_sent_ns;
  std::array<uint64_t, kKept> sorted = kept_;
  const size_t size = std::min(count_, kKept);
  std::sort(sorted.begin(), sorted.begin() + size);
  smoothed_ns_ = sorted[(size - 1) / 2];
  bound_ns_ = sorted[(size - 1) * 3 / 4];
}

Timeouts Adapt(const Timeouts& configured, uint64_t smoothed_us, uint64_t bound_us) {
  Timeouts timeouts;
  timeouts.heartbeat_ms =
      Between(configured.heartbeat_ms, kHeartbeatRoundTrips * smoothed_us / 1'000, kMaxHeartbeatMs);
  timeouts.election_ms =
      Between(configured.election_ms, kElectionRoundTrips * bound_us / 1'000, kMaxElectionMs);
  return timeouts;
}

bool WorthChanging(const Timeouts& from, const Timeouts& to) {
  return Differs(from.heartbeat_ms, to.heartbeat_ms) || Differs(from.election_ms, to.election_ms);
}

}  // namespace faultline::raft
