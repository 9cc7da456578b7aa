#include "server/freshness.h"

#include <algorithm>

namespace faultline::server {

void Freshness::Learn(uint64_t as_of_ns, uint64_t revision) {
  const std::lock_guard lock(mutex_);
  const auto later = std::find_if(samples_.begin(), samples_.end(),
                                  [&](const Sample& s) { return s.revision > revision; });
  if (later != samples_.begin() && std::prev(later)->revision == revision) {
    auto& known = std::prev(later)->as_of_ns;
    known = std::max(known, as_of_ns);
    return;
  }
  if (samples_.size() < kMaxSamples) samples_.insert(later, {as_of_ns, revision});
}

uint64_t Freshness::CurrentAsOfNs(uint64_t revision) {
  const std::lock_guard lock(mutex_);
  while (!samples_.empty() && samples_.front().revision <= revision) {
    current_ns_ = std::max(current_ns_, samples_.front().as_of_ns);
    samples_.pop_front();
  }
  return current_ns_;
}

}  // namespace faultline::server
