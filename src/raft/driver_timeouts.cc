// The driver's timeouts, which fit the distance between members.
#include <algorithm>

#include "base/clock.h"
#include "raft/driver.h"

namespace faultline::raft {

uint64_t Driver::RoundTripUs() const {
  if (status_.role == Role::kFollower && status_.leader_id != 0) return leader_round_trip_us_;
  const uint64_t measured_us = Slowest(&RoundTrip::bound_ns) / kNanosPerMicro;
  return status_.role == Role::kLeader ? measured_us : std::max(measured_us, leader_round_trip_us_);
}

uint64_t Driver::Slowest(uint64_t (RoundTrip::*measure)() const) const {
  uint64_t slowest_ns = 0;
  for (const uint64_t id : OtherVoters()) {
    const auto found = contacts_.find(id);
    if (found == contacts_.end()) continue;
    slowest_ns = std::max(slowest_ns, (found->second.round_trip.*measure)());
  }
  return slowest_ns;
}

void Driver::AdaptTimeouts() {
  const Timeouts configured{static_cast<uint32_t>(options_.heartbeat.count()),
                            static_cast<uint32_t>(options_.election_timeout.count())};
  // Only a leader's heartbeat is of any use.
  const bool leads = status_.role == Role::kLeader;
  const uint64_t smoothed_us = leads ? Slowest(&RoundTrip::smoothed_ns) / kNanosPerMicro : 0;
  const Timeouts wanted = Adapt(configured, smoothed_us, RoundTripUs());
  const bool back_to_configured = wanted == configured && timeouts_ != configured;
  if (!failure_.ok() || (!back_to_configured && !WorthChanging(timeouts_, wanted))) return;
  timeouts_ = wanted;
  core_->SetTimeouts(wanted.election_ms, wanted.heartbeat_ms);
  status_ = core_->GetStatus();
}

}  // namespace faultline::raft
