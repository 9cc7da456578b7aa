// Who waits for something to be applied.
#include <algorithm>

#include "base/clock.h"
#include "server/control_plane.h"

namespace faultline::server {
namespace {

// The first of `experiments` (ascending) from `from` on that has not ended; 0: there is none. Skips
// from one of the two to the other's next, whichever are fewer.
uint64_t FirstUnfinished(const std::set<uint64_t>& unfinished,
                         const std::vector<uint64_t>& experiments, uint64_t from) {
  auto open = unfinished.lower_bound(from);
  auto wanted = std::lower_bound(experiments.begin(), experiments.end(), from);
  while (open != unfinished.end() && wanted != experiments.end()) {
    if (*open == *wanted) return *open;
    if (*open < *wanted) {
      open = unfinished.lower_bound(*wanted);
    } else {
      wanted = std::lower_bound(wanted, experiments.end(), *open);
    }
  }
  return 0;
}

}  // namespace

void ControlPlane::WaitForRevision(uint64_t wanted, uint64_t deadline_ns,
                                   std::function<void(Status)> done) {
  const auto waiter = std::make_shared<Waiter>(Waiter{{}, std::move(done), {}});
  Wait(&waiting_for_revision_, waiter, deadline_ns,
       [&] { return version_.revision() >= wanted ? 0 : wanted; });
}

void ControlPlane::WaitForEnds(const std::vector<std::string>& experiment_ids, uint64_t deadline_ns,
                               std::function<void(Status)> done) {
  const auto waiter = std::make_shared<Waiter>(Waiter{{}, std::move(done), {}});
  Wait(&waiting_for_end_, waiter, deadline_ns, [&] {
    for (const std::string& id : experiment_ids) {
      const auto known = state_.index_of_id.find(id);
      if (known != state_.index_of_id.end()) waiter->experiments.push_back(known->second);
    }
    std::sort(waiter->experiments.begin(), waiter->experiments.end());
    return FirstUnfinished(state_.unfinished, waiter->experiments, 0);
  });
}

void ControlPlane::Wait(Waiting* waiting, const std::shared_ptr<Waiter>& waiter,
                        uint64_t deadline_ns, const std::function<uint64_t()>& first) {
  bool now = false, never = false;
  {
    const std::lock_guard lock(mutex_);
    const uint64_t wanted = first();
    now = wanted == 0;
    never = detached_;
    waiter->place = {wanted, ++waits_};
    if (!now && !never) waiting->emplace(waiter->place, waiter);
  }
  if (now || never) return waiter->done(now ? absl::OkStatus() : NodeEnding());
  TimeOut(waiting, waiter, deadline_ns);
}

void ControlPlane::TimeOut(Waiting* waiting, const std::shared_ptr<Waiter>& waiter,
                           uint64_t deadline_ns) {
  const uint64_t now_ns = MonotonicNowNs();
  const std::chrono::nanoseconds left(deadline_ns > now_ns ? deadline_ns - now_ns : 0);
  timers_->PostAfter(left, [this, waiting, weak = std::weak_ptr<Waiter>(waiter)] {
    const auto late = weak.lock();
    if (!late) return;
    {
      const std::lock_guard lock(mutex_);
      if (waiting->erase(late->place) == 0) return;
    }
    late->done(MakeError(StatusCode::kDeadlineExceeded, "it did not happen in time"));
  });
}

ControlPlane::Waiters ControlPlane::TakeReady(const std::set<uint64_t>& experiments) {
  Waiters ready;
  for (const uint64_t experiment : experiments) {
    if (!state_.unfinished.contains(experiment)) GoOn(experiment, &ready);
  }
  auto& waiting = waiting_for_revision_;
  while (!waiting.empty() && waiting.begin()->first.first <= version_.revision()) {
    ready.push_back(std::move(waiting.extract(waiting.begin()).mapped()));
  }
  return ready;
}

void ControlPlane::GoOn(uint64_t ended, Waiters* ready) {
  auto at = waiting_for_end_.lower_bound({ended, 0});
  while (at != waiting_for_end_.end() && at->first.first == ended) {
    auto node = waiting_for_end_.extract(at++);
    Waiter& waiter = *node.mapped();
    waiter.place.first = FirstUnfinished(state_.unfinished, waiter.experiments, ended);
    if (waiter.place.first == 0) {
      ready->push_back(std::move(node.mapped()));
    } else {
      node.key() = waiter.place;
      waiting_for_end_.insert(std::move(node));
    }
  }
}

void ControlPlane::Tell(const Change& change, const Waiters& ready) {
  for (const auto& observer : observers_) observer(change);
  for (const auto& waiter : ready) {
    if (waiter->experiments.empty()) {
      waiter->done(absl::OkStatus());
    } else {  // this thread has more to apply
      timers_->PostAfter({}, [waiter] { waiter->done(absl::OkStatus()); });
    }
  }
}

std::set<uint64_t> ControlPlane::Awaited() const {
  std::set<uint64_t> experiments;
  for (const auto& [place, waiter] : waiting_for_end_) experiments.insert(place.first);
  return experiments;
}

ControlPlane::Waiters ControlPlane::TakeAll() {
  Waiters all;
  for (Waiting* waiting : {&waiting_for_revision_, &waiting_for_end_}) {
    for (auto& [place, waiter] : *waiting) all.push_back(std::move(waiter));
    waiting->clear();
  }
  return all;
}

}  // namespace faultline::server
