// Who waits for something to be applied.
#include <algorithm>

#include "base/clock.h"
#include "server/control_plane.h"

namespace faultline::server {

void ControlPlane::WaitUntil(std::function<bool(const control::State&, uint64_t)> condition,
                             uint64_t deadline_ns, std::function<void(Status)> done) {
  auto waiter = std::make_shared<Waiter>(Waiter{std::move(condition), std::move(done)});
  bool now = false, never = false;
  {
    const std::lock_guard lock(mutex_);
    now = waiter->condition(state_, version_.revision());
    never = detached_;
    if (!now && !never) waiters_.push_back(waiter);
  }
  if (now || never) return waiter->done(now ? absl::OkStatus() : NodeEnding());
  TimeOut(waiter, deadline_ns);
}

void ControlPlane::WaitForRevision(uint64_t wanted, uint64_t deadline_ns,
                                   std::function<void(Status)> done) {
  auto waiter = std::make_shared<Waiter>(Waiter{nullptr, std::move(done)});
  bool now = false, never = false;
  {
    const std::lock_guard lock(mutex_);
    now = version_.revision() >= wanted;
    never = detached_;
    if (!now && !never) waiting_for_.emplace(wanted, waiter);
  }
  if (now || never) return waiter->done(now ? absl::OkStatus() : NodeEnding());
  TimeOut(waiter, deadline_ns);
}

void ControlPlane::TimeOut(const std::shared_ptr<Waiter>& waiter, uint64_t deadline_ns) {
  const uint64_t now_ns = MonotonicNowNs();
  const std::chrono::nanoseconds left(deadline_ns > now_ns ? deadline_ns - now_ns : 0);
  timers_->PostAfter(left, [this, weak = std::weak_ptr<Waiter>(waiter)] {
    const auto late = weak.lock();
    if (!late) return;
    {
      const std::lock_guard lock(mutex_);
      const bool waited =
          late->condition
              ? std::erase(waiters_, late) > 0
              : std::erase_if(waiting_for_, [&](const auto& e) { return e.second == late; }) > 0;
      if (!waited) return;
    }
    late->done(MakeError(StatusCode::kDeadlineExceeded, "it did not happen in time"));
  });
}

ControlPlane::Waiters ControlPlane::TakeReady() {
  Waiters ready;
  const auto reached = waiting_for_.upper_bound(version_.revision());
  for (auto it = waiting_for_.begin(); it != reached; it = waiting_for_.erase(it)) {
    ready.push_back(std::move(it->second));
  }
  for (auto it = waiters_.begin(); it != waiters_.end();) {
    const auto next = std::next(it);
    if ((*it)->condition(state_, version_.revision())) ready.splice(ready.end(), waiters_, it);
    it = next;
  }
  return ready;
}

}  // namespace faultline::server
