// How long a message to a member and its answer take, and what follows for timeouts. Smoothed as
// TCP does it: RFC 6298, "Computing TCP's Retransmission Timer", section 2 (SRTT with a weight of
// 1/8, RTTVAR with 1/4; bound SRTT + 4 RTTVAR). Pure; not thread-safe.
#pragma once

#include <cstdint>

namespace faultline::raft {

class RoundTrip {
 public:
  // An answer came at `now_ns` to what we sent at `echo_sent_ns`. Answers to what was sent before
  // the newest one answered so far say nothing new, and are left out; so are impossible ones.
  void Sample(uint64_t echo_sent_ns, uint64_t now_ns);

  // The next answer counts as the first: what was measured before was something else, such as the
  // making of connections. Until then the old values stand.
  void Restart() { restarting_ = true; }

  // 0 as long as nothing is measured.
  uint64_t smoothed_ns() const { return smoothed_ns_; }
  // Nearly every round trip is shorter.
  uint64_t bound_ns() const { return smoothed_ns_ + 4 * variation_ns_; }

 private:
  uint64_t newest_echo_ns_ = 0;
  uint64_t smoothed_ns_ = 0;
  uint64_t variation_ns_ = 0;
  bool restarting_ = true;
};

struct Timeouts {
  uint32_t heartbeat_ms = 0;
  uint32_t election_ms = 0;
  friend bool operator==(const Timeouts&, const Timeouts&) = default;
};

// What `configured` becomes where a round trip takes `smoothed_us` on average and `bound_us` nearly
// at most: a heartbeat for each average one (so that measuring goes on fast when single ones were
// slow), and six bounds without a sign of life before anybody thinks of an election; both at least
// as configured and at most 1.7 and 10 seconds.
Timeouts Adapt(const Timeouts& configured, uint64_t smoothed_us, uint64_t bound_us);

// Whether the two differ so much that timers should be set anew.
bool WorthChanging(const Timeouts& from, const Timeouts& to);

}  // namespace faultline::raft
