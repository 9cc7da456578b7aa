#include "agent/reconciler.h"

#include <algorithm>

#include "agent/fault_log.h"
#include "base/clock.h"

namespace faultline::agent {
namespace {

constexpr uint64_t kFirstPauseNs = 100 * kNanosPerMilli;
// A reason that changes all the time is not told more often.
constexpr uint64_t kTellAgainNs = 10 * kNanosPerSecond;

faults::FaultKey KeyOf(const chaos::v1::DesiredFault& fault) {
  return {fault.experiment_id(), fault.fault_index(), fault.target_id()};
}

uint64_t RemainingNs(const google::protobuf::Duration& remaining) {
  if (remaining.seconds() < 0 || remaining.nanos() < 0) return 0;
  return static_cast<uint64_t>(remaining.seconds()) * kNanosPerSecond +
         static_cast<uint64_t>(remaining.nanos());
}

// Failures that may be gone in a moment.
bool IsPassing(const Status& status) {
  switch (status.code()) {
    case StatusCode::kUnavailable:
    case StatusCode::kResourceExhausted:
    case StatusCode::kAborted:
    case StatusCode::kDeadlineExceeded:
    case StatusCode::kInternal:
      return true;
    default:
      return false;
  }
}

}  // namespace

Reconciler::Reconciler(DriverOf driver_of, std::vector<faults::Driver*> drivers,
                       std::function<void()> at_edge, faults::GoOn go_on)
    : driver_of_(std::move(driver_of)),
      drivers_(std::move(drivers)),
      at_edge_(std::move(at_edge)),
      go_on_(std::move(go_on)) {}

void Reconciler::SetDesired(const chaos::v1::DesiredState& desired, uint64_t now_ns) {
  version_ = desired.version();
  changed_ = true;  // the version answered is new
  for (auto& [key, entry] : entries_) entry.desired = false;
  for (const auto& fault : desired.faults()) {
    const uint64_t deadline_ns = now_ns + RemainingNs(fault.remaining());
    const auto [found, fresh] = entries_.try_emplace(KeyOf(fault));
    Entry& entry = found->second;
    entry.desired = true;
    if (!fresh) {
      entry.deadline_ns = std::min(entry.deadline_ns, deadline_ns);
      continue;
    }
    entry.fault = fault;
    entry.deadline_ns = deadline_ns;
    // Experiments begin on connected agents only.
    entry.inherited = !told_;
  }
  told_ = true;
  Converge(now_ns);
}

void Reconciler::SetLeaseHeld(bool held, uint64_t now_ns) {
  if (held == lease_held_) return;
  lease_held_ = held;
  if (held) {
    FL_LOG(info, "a lease is held");
  } else {
    FL_LOG(warn, "the lease has run out: nothing is armed until a controller grants another");
  }
  Converge(now_ns);
}

void Reconciler::Halt(uint64_t now_ns) {
  halted_ = true;
  Converge(now_ns);
}

void Reconciler::Resume(uint64_t now_ns) {
  halted_ = false;
  Converge(now_ns);
}

void Reconciler::Stop(uint64_t now_ns) {
  stopped_ = true;
  Converge(now_ns);
}

void Reconciler::Tick(uint64_t now_ns) {
  Converge(now_ns);
  std::erase_if(entries_, [now_ns](const auto& item) {
    const Entry& entry = item.second;
    const bool ended = entry.state == State::kReverted || entry.state == State::kRefused;
    return ended && !entry.desired && entry.sent_ns != 0 && now_ns >= entry.sent_ns + kTakenAfterNs;
  });
}

void Reconciler::Converge(uint64_t now_ns) {
  disarmed_ = false;
  std::vector<Entries::value_type*> due;
  for (auto& item : entries_) {
    if (EndOrWait(item.first, item.second, now_ns)) due.push_back(&item);
  }
  edge_ = disarmed_;
  if (edge_) at_edge_();
  // What has waited longest goes first: those that fail again and again keep no other waiting.
  std::ranges::stable_sort(due, {}, [](const auto* item) { return item->second.tried_ns; });
  unfinished_ = false;
  for (auto* item : due) {
    Arm(item->first, item->second, now_ns);
    const bool has_time = go_on_(now_ns);
    unfinished_ = !has_time && item != due.back();
    if (unfinished_) return;
  }
}

Reconciler::Obstacle Reconciler::ObstacleTo(const Entry& entry, uint64_t now_ns) const {
  if (stopped_) return {"the agent was stopped"};
  if (halted_) return {"halted locally"};
  if (!entry.desired) return {"stopped"};
  if (now_ns >= entry.deadline_ns) return {"its time is up"};
  if (!lease_held_) return {"lease ran out", true};
  return {};
}

bool Reconciler::EndOrWait(const faults::FaultKey& key, Entry& entry, uint64_t now_ns) {
  if (entry.state == State::kReverted || entry.state == State::kRefused) return false;
  const Obstacle obstacle = ObstacleTo(entry, now_ns);
  entry.halted = halted_ && !stopped_;
  if (entry.state == State::kArmed) {
    if (!obstacle.reason.empty()) Disarm(key, entry, obstacle, now_ns);
    return false;
  }
  if (obstacle.reason.empty()) return now_ns >= entry.retry_ns;
  if (obstacle.passing) return false;
  if (entry.armed_unix_ns != 0) {
    // What has vanished may have done so for a moment: whoever is told that it ended can rely on
    // it.
    if (!Revert(key, entry, now_ns)) return false;
    const bool missing = entry.state == State::kMissing;
    End(key, entry, State::kReverted, missing ? obstacle.reason : entry.reason);
  } else if (!entry.desired) {
    End(key, entry, State::kReverted, "stopped before it was armed");
  } else {
    End(key, entry, State::kRefused, obstacle.reason);
  }
  return false;
}

void Reconciler::Arm(const faults::FaultKey& key, Entry& entry, uint64_t now_ns) {
  const LogFields about = About(key);
  faults::Driver* driver = driver_of_(entry.fault.kind());
  if (driver == nullptr) {
    return End(key, entry, State::kRefused,
               fmt::format("this agent does not know the fault kind {}", entry.fault.kind()));
  }
  // Not for each of many attempts: there are only so many measurements that are kept.
  if (std::exchange(entry.tried_ns, now_ns) == 0 && !std::exchange(edge_, true)) at_edge_();
  const Status armed =
      driver->Arm({key, entry.fault.config(), entry.fault.seed(), entry.deadline_ns});
  if (armed.ok()) {
    FL_LOG(info, "{}: {} armed", Text(key), entry.fault.kind());
    entry.attempts = 0;
    entry.retry_ns = entry.tried_ns = 0;
    entry.armed_unix_ns = static_cast<uint64_t>(UnixNowNs());
    Settle(entry, State::kArmed, "");
    return;
  }
  const std::string reason = ToString(armed.message());
  const bool news = entry.state != State::kMissing ||
                    (entry.reason != reason && now_ns >= entry.told_ns + kTellAgainNs);
  // A service that is being started anew has no place for a while.
  const bool passing = IsPassing(armed);
  const bool missing = armed.code() == StatusCode::kNotFound;
  const bool endless = entry.armed_unix_ns != 0 || (entry.inherited && (passing || missing));
  const bool under_way = ReasonOf(armed) == faults::kUnderWay;
  if (!under_way) ++entry.attempts;
  if (!endless && !under_way && (!passing || entry.attempts >= kAttempts)) {
    return End(key, entry, State::kRefused, reason);
  }
  if (news) {
    FL_LOG(warn, "{}: cannot be armed, and is tried again: {}", Text(key), reason);
    Settle(entry, State::kMissing, reason);
    entry.told_ns = now_ns;
  }
  const uint64_t pause_ns = kFirstPauseNs << std::clamp(entry.attempts - 1, 0, kAttempts);
  entry.retry_ns = now_ns + (endless ? std::min(pause_ns, kLongestPauseNs) : pause_ns);
}

void Reconciler::Disarm(const faults::FaultKey& key, Entry& entry, const Obstacle& obstacle,
                        uint64_t now_ns) {
  if (!Revert(key, entry, now_ns)) {
    // Stays ACTIVE, and is tried again at the next tick.
    if (entry.reason != entry.failure) Settle(entry, State::kArmed, entry.failure);
    return;
  }
  End(key, entry, obstacle.passing ? State::kWaiting : State::kReverted, obstacle.reason);
}

bool Reconciler::Revert(const faults::FaultKey& key, Entry& entry, uint64_t now_ns) {
  const Status gone = driver_of_(entry.fault.kind())->Disarm(key);
  (void)go_on_(now_ns);
  if (gone.ok()) {
    entry.failure.clear();
    disarmed_ = true;
    return true;
  }
  const LogFields about = About(key);
  const std::string failure = fmt::format("cannot be reverted: {}", ToString(gone.message()));
  if (std::exchange(entry.failure, failure) != failure) {
    FL_LOG(error, "{}: {}", Text(key), failure);
  }
  return false;
}

void Reconciler::End(const faults::FaultKey& key, Entry& entry, State state,
                     const std::string& reason) {
  const LogFields about = About(key);
  const char* word = state == State::kRefused    ? "refused"
                     : state == State::kReverted ? "reverted"
                                                 : "disarmed for now";
  FL_LOG(info, "{}: {}: {}", Text(key), word, reason);
  Settle(entry, state, reason);
}

void Reconciler::Settle(Entry& entry, State state, const std::string& reason) {
  entry.state = state;
  entry.reason = reason;
  entry.sent_ns = 0;
  changed_ = true;
}

void Reconciler::CompareWithDrivers() {
  std::set<faults::FaultKey> armed;
  for (faults::Driver* driver : drivers_) {
    for (const faults::FaultKey& key : driver->Armed()) {
      const auto found = entries_.find(key);
      if (found != entries_.end() && found->second.state == State::kArmed) {
        armed.insert(key);
        continue;
      }
      const LogFields about = About(key);
      FL_LOG(warn, "{}: armed without being wanted, disarming", Text(key));
      if (const Status gone = driver->Disarm(key); !gone.ok()) {
        FL_LOG(error, "{}: cannot be reverted: {}", Text(key), ToString(gone.message()));
      }
    }
  }
  for (auto& [key, entry] : entries_) {
    if (entry.state != State::kArmed || armed.contains(key)) continue;
    const LogFields about = About(key);
    const std::string known = driver_of_(entry.fault.kind())->WhyGone(key);
    const std::string reason = known.empty() ? "vanished from the kernel" : known;
    FL_LOG(warn, "{}: no longer armed: {}", Text(key), reason);
    Settle(entry, State::kMissing, reason);
    entry.retry_ns = entry.tried_ns = 0;
  }
}

void Reconciler::TargetsChanged() {
  for (auto& [key, entry] : entries_) {
    if (entry.armed_unix_ns != 0 || entry.inherited) entry.retry_ns = 0;
  }
}

}  // namespace faultline::agent
