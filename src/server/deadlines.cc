#include "server/deadlines.h"

#include <vector>

#include "base/clock.h"

namespace faultline::server {

Deadlines::Handle Deadlines::Add(uint64_t when_ns, std::function<void()> task) {
  const std::lock_guard lock(mutex_);
  const Handle handle(when_ns, ++next_);
  tasks_.emplace(handle, std::move(task));
  if (when_ns < armed_ns_) Arm(when_ns);
  return handle;
}

void Deadlines::Remove(const Handle& handle) {
  // Destroyed after the lock: it may hold the last reference to something.
  decltype(tasks_)::node_type removed;
  const std::lock_guard lock(mutex_);
  removed = tasks_.extract(handle);
}

void Deadlines::Arm(uint64_t when_ns) {
  armed_ns_ = when_ns;
  const uint64_t now_ns = MonotonicNowNs();
  const std::chrono::nanoseconds left(when_ns > now_ns ? when_ns - now_ns : 0);
  timers_->PostAfter(left, [this] { RunDue(); });
}

void Deadlines::RunDue() {
  std::vector<std::function<void()>> due;
  {
    const std::lock_guard lock(mutex_);
    const uint64_t now_ns = MonotonicNowNs();
    while (!tasks_.empty() && tasks_.begin()->first.first <= now_ns) {
      due.push_back(std::move(tasks_.extract(tasks_.begin()).mapped()));
    }
    if (now_ns >= armed_ns_) armed_ns_ = UINT64_MAX;
    if (!tasks_.empty() && tasks_.begin()->first.first < armed_ns_)
      Arm(tasks_.begin()->first.first);
  }
  for (const auto& task : due) task();
}

}  // namespace faultline::server
