// How long a message to a member and its answer take, and what follows for timeouts. Of the newest
// round trips the median and the upper quartile count: a member, or a path, that stands still for a
// moment makes few of them long, however long that was. Pure; not thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace faultline::raft {

inline constexpr uint64_t kNanosPerMicro = 1'000;

class RoundTrip {
 public:
  // So many are kept: 0.8 s of them at the default heartbeat, longer where a round trip takes
  // longer.
  static constexpr size_t kKept = 16;

  // An answer came at `now_ns` to what we sent at `echo_sent_ns` (0: to nothing). One per round
  // trip is taken: what
  // was sent before the newest one taken had come would tell of the same delay again, as all do
  // that were held up together. Impossible ones are left out.
  void Sample(uint64_t echo_sent_ns, uint64_t now_ns);

  // The next answer counts as the first: what was measured before was something else, such as the
  // making of connections. Until then the old values stand.
  void Restart() { restarting_ = true; }

  // The median; 0 as long as nothing is measured.
  uint64_t smoothed_ns() const { return smoothed_ns_; }
  // Three of four round trips are not longer.
  uint64_t bound_ns() const { return bound_ns_; }

 private:
  uint64_t newest_answer_ns_ = 0;
  std::array<uint64_t, kKept> kept_{};
  size_t count_ = 0;  // taken since the first one
  uint64_t smoothed_ns_ = 0;
  uint64_t bound_ns_ = 0;
  bool restarting_ = true;
};

struct Timeouts {
  uint32_t heartbeat_ms = 0;
  uint32_t election_ms = 0;
  friend bool operator==(const Timeouts&, const Timeouts&) = default;
};

// What `configured` becomes where a round trip takes `smoothed_us` as a rule and `bound_us` when it
// is slow: a heartbeat for each usual one, and six slow ones without a sign of life before anybody
// thinks of an election; both at least as configured and at most 1.7 and 10 seconds.
Timeouts Adapt(const Timeouts& configured, uint64_t smoothed_us, uint64_t bound_us);

// Whether the two differ so much that timers should be set anew.
bool WorthChanging(const Timeouts& from, const Timeouts& to);

}  // namespace faultline::raft
