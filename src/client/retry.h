// Which node a call tries next, and when: pure, time and randomness are given.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>

namespace faultline::client {

// How one attempt failed.
struct AttemptFailure {
  // Trying again may help and does no harm (the node is gone, has no leader, gave no answer).
  bool retriable = false;
  // The node was reached: it answered, or took the call. False when no connection came about.
  bool reached = false;
  // The node is overloaded and asks for this pause.
  std::chrono::nanoseconds retry_after{0};
};

// One call's (or one stream's) walk over the nodes: each node once without a pause, then a pause
// that doubles from 20 ms to 500 ms, each with up to a quarter of jitter, and around again. A pause
// that an overloaded node asks for is kept, with jitter, before whichever node is tried next. Gives
// up at the deadline; earlier, `kUnreachablePatience` after the first failure, when no node could
// be reached at all.
class RetryPlan {
 public:
  static constexpr std::chrono::milliseconds kFirstPause{20};
  static constexpr std::chrono::milliseconds kLongestPause{500};
  static constexpr std::chrono::milliseconds kUnreachablePatience{1500};

  // `nodes` at least 1; `first` below `nodes`; `deadline_ns` on the clock that After is given.
  RetryPlan(size_t nodes, size_t first, uint64_t deadline_ns, uint64_t seed);

  // Node that the next attempt goes to.
  size_t node() const { return node_; }

  // To be called after a failed attempt at node(): chooses the next node; result: the pause before
  // it is tried, or nothing when the failure is final.
  std::optional<std::chrono::nanoseconds> After(AttemptFailure failure, uint64_t now_ns);

  // To be called when an attempt succeeded and a later failure begins a new walk, ending at
  // `deadline_ns` (streams). The walk then begins at the node after this one.
  void Succeeded();
  void set_deadline_ns(uint64_t deadline_ns) { deadline_ns_ = deadline_ns; }
  // True when the present walk has not failed yet.
  bool fresh() const { return !first_failure_ns_.has_value(); }

 private:
  const size_t nodes_;
  size_t node_;
  uint64_t deadline_ns_;
  size_t failed_in_round_ = 0;
  std::optional<uint64_t> first_failure_ns_;
  bool reached_any_ = false;
  std::chrono::nanoseconds pause_ = kFirstPause;
  std::minstd_rand random_;
};

}  // namespace faultline::client
