#include "server/experiment_clock.h"

#include "base/clock.h"

namespace faultline::server {
namespace {

// Forgetting looks at all: not for a few.
constexpr size_t kFew = 64;

int64_t ToMs(uint64_t from_ns, uint64_t to_ns) {
  return to_ns > from_ns ? static_cast<int64_t>((to_ns - from_ns) / kNanosPerMilli) : 0;
}

}  // namespace

int64_t ExperimentClock::NowMs(bool idle, uint64_t now_ns, int64_t own_unix_ms) {
  const std::lock_guard lock(mutex_);
  if (idle || set_ns_ == 0) {
    set_unix_ms_ = own_unix_ms;
    set_ns_ = now_ns;
  }
  return set_unix_ms_ + ToMs(set_ns_, now_ns);
}

void ExperimentClock::Tell(uint64_t index, uint64_t now_ns, const std::set<uint64_t>& unfinished) {
  const std::lock_guard lock(mutex_);
  told_ns_.emplace(index, now_ns);
  if (told_ns_.size() <= 2 * unfinished.size() + kFew) return;
  std::erase_if(told_ns_, [&](const auto& told) { return !unfinished.contains(told.first); });
}

int64_t ExperimentClock::KnownMs(uint64_t index, uint64_t now_ns) const {
  const std::lock_guard lock(mutex_);
  const auto told = told_ns_.find(index);
  return told == told_ns_.end() ? INT64_MAX : ToMs(told->second, now_ns);
}

}  // namespace faultline::server
