#include "client/retry.h"

#include <algorithm>

namespace faultline::client {

RetryPlan::RetryPlan(size_t nodes, size_t first, uint64_t deadline_ns, uint64_t seed)
    : nodes_(nodes),
      node_(first),
      deadline_ns_(deadline_ns),
      random_(static_cast<uint32_t>(seed | 1)) {}

std::optional<std::chrono::nanoseconds> RetryPlan::After(AttemptFailure failure, uint64_t now_ns) {
  if (!failure.retriable) return std::nullopt;
  if (!first_failure_ns_) first_failure_ns_ = now_ns;
  reached_any_ |= failure.reached;
  const uint64_t patience_ns = std::chrono::nanoseconds(kUnreachablePatience).count();
  const uint64_t end_ns =
      reached_any_ ? deadline_ns_ : std::min(deadline_ns_, *first_failure_ns_ + patience_ns);
  node_ = (node_ + 1) % nodes_;
  std::chrono::nanoseconds pause{0};
  if (++failed_in_round_ >= nodes_) {
    failed_in_round_ = 0;
    const auto jitter = std::uniform_int_distribution<int64_t>(0, pause_.count() / 4)(random_);
    pause = pause_ + std::chrono::nanoseconds(jitter);
    pause_ = std::min<std::chrono::nanoseconds>(pause_ * 2, kLongestPause);
  }
  if (failure.retry_after > pause) {
    const auto jitter =
        std::uniform_int_distribution<int64_t>(0, failure.retry_after.count() / 2)(random_);
    pause = failure.retry_after + std::chrono::nanoseconds(jitter);
  }
  if (now_ns + static_cast<uint64_t>(pause.count()) >= end_ns) return std::nullopt;
  return pause;
}

void RetryPlan::Succeeded() {
  failed_in_round_ = 0;
  first_failure_ns_.reset();
  reached_any_ = true;
  pause_ = kFirstPause;
}

}  // namespace faultline::client
