// Makes actual faults equal desired faults. Level-triggered: it is told the whole desired set, asks
// the drivers what is there, and closes the difference; anything repeated changes nothing.
//
// A fault is armed while it is desired, the control plane's lease is held, its time is not up, and
// the host is not halted. When the lease runs out it is disarmed, and armed again for the time left
// if it is still desired when a lease is held again; that is PENDING, because REVERTED and REFUSED
// are final on both sides: what was reported so is never armed again by this start of the agent.
// What vanishes from the kernel (its target's interface, namespace or cgroup has gone or is another
// one) is PENDING with the reason, and armed again as soon as it can be, however long that takes.
// Every other end is REVERTED with its reason.
//
// Each call first reverts all that has to end, then arms what there is time for; the next Tick goes
// on with the rest.
//
// Times are nanoseconds of CLOCK_BOOTTIME, handed in. Not thread-safe: the agent's strand.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "agent/v1/local.pb.h"
#include "chaos/v1/agent.pb.h"
#include "faults/driver.h"

namespace faultline::agent {

class Reconciler {
 public:
  // Driver of a fault kind; nullptr when this agent has none.
  using DriverOf = std::function<faults::Driver*(const std::string& kind)>;

  // Arming that fails for a passing reason is tried so often, after pauses of 100 ms, 200 ms, ...
  // While a driver is still preparing it (faults::kUnderWay) no attempt counts.
  // What was armed before, or perhaps by the agent's last start, is tried without end: after pauses
  // of at most a second, and when TargetsChanged() says that it may work now.
  static constexpr int kAttempts = 6;
  static constexpr uint64_t kLongestPauseNs = 1'000'000'000;
  // A fault that has ended is reported until a session has lived so long after it was sent.
  static constexpr uint64_t kTakenAfterNs = 10'000'000'000;

  // `drivers` are all that exist, each once; they outlive the object. `at_edge` is called before
  // faults are armed at the first attempt and after faults were disarmed, once for all of a call:
  // what is measured ends there, so that the time without a fault does not count as the fault's.
  // `go_on` is called after each fault that was armed or reverted, or could not be, with `now_ns`
  // of the call; when it says false no more are armed, while reverting is never put off.
  Reconciler(
      DriverOf driver_of, std::vector<faults::Driver*> drivers,
      std::function<void()> at_edge = [] {}, faults::GoOn go_on = faults::kGoOnToTheEnd);

  // The whole desired set, already judged new enough. Deadlines are counted from now, and never
  // move later than first seen.
  void SetDesired(const chaos::v1::DesiredState& desired, uint64_t now_ns);

  // Whether the control plane's lease is held.
  void SetLeaseHeld(bool held, uint64_t now_ns);

  // Disarms everything and refuses what is or becomes desired, until Resume.
  void Halt(uint64_t now_ns);
  void Resume(uint64_t now_ns);
  bool halted() const { return halted_; }

  // Disarms everything for good: the agent ends.
  void Stop(uint64_t now_ns);

  // Ends what is due, retries what failed. About ten times a second, at once while unfinished().
  void Tick(uint64_t now_ns);
  // The last call had no time to arm all.
  bool unfinished() const { return unfinished_; }
  // Compares with what the drivers' kernel state says. Once a second, after the drivers have looked
  // at their targets. What was armed and has vanished is PENDING, until the next Tick at least.
  void CompareWithDrivers();
  // Targets have come or gone: the next Tick tries what waits.
  void TargetsChanged();

  // True once after each change of what Reports() says.
  bool TakeChanged();
  // The whole set of phases; everything in it counts as sent now.
  chaos::v1::FaultReports Reports(uint64_t now_ns);
  // A session has ended: what was sent on it may not have been taken.
  void OnSessionEnd();

  std::vector<::agent::v1::LocalFault> Faults(uint64_t now_ns) const;
  std::set<faults::FaultKey> Armed() const;
  unsigned armed_count() const;

 private:
  // kMissing: it is told why the fault is not armed; kWaiting: for a lease, which is told of what
  // was armed before.
  enum class State { kWaiting, kMissing, kArmed, kReverted, kRefused };
  // Why a fault may not be armed now.
  struct Obstacle {
    std::string reason;    // empty: it may
    bool passing = false;  // it may be again
  };
  struct Entry {
    chaos::v1::DesiredFault fault;
    uint64_t deadline_ns = 0;
    bool desired = false;
    bool inherited = false;  // desired before this agent was started
    State state = State::kWaiting;
    uint64_t armed_unix_ns = 0;  // when it was armed last; 0 never
    std::string reason;
    std::string failure;  // why it could not be reverted, as it was logged last
    bool halted = false;  // what made it end
    int attempts = 0;
    uint64_t retry_ns = 0;
    uint64_t tried_ns = 0;  // when arming it failed last; 0: not since it was desired or armed
    uint64_t told_ns = 0;   // when it was said last why it is missing
    uint64_t sent_ns = 0;   // when the present state was first sent on this session; 0 not yet
  };
  using Entries = std::map<faults::FaultKey, Entry>;

  void Converge(uint64_t now_ns);
  // True when the fault is to be armed; else it is waited for or what it is to be.
  bool EndOrWait(const faults::FaultKey& key, Entry& entry, uint64_t now_ns);
  Obstacle ObstacleTo(const Entry& entry, uint64_t now_ns) const;
  void Arm(const faults::FaultKey& key, Entry& entry, uint64_t now_ns);
  void Disarm(const faults::FaultKey& key, Entry& entry, const Obstacle& obstacle, uint64_t now_ns);
  // True when nothing of the fault is left in the kernel.
  bool Revert(const faults::FaultKey& key, Entry& entry, uint64_t now_ns);
  // Settles, and logs it: for good, or until a lease is held again.
  void End(const faults::FaultKey& key, Entry& entry, State state, const std::string& reason);
  void Settle(Entry& entry, State state, const std::string& reason);
  static chaos::v1::TargetPhase PhaseOf(State state);

  const DriverOf driver_of_;
  const std::vector<faults::Driver*> drivers_;
  const std::function<void()> at_edge_;
  const faults::GoOn go_on_;
  bool edge_ = false, disarmed_ = false;  // at_edge_ was called, a fault disarmed: in this call
  bool unfinished_ = false;
  Entries entries_;
  chaos::v1::StateVersion version_;
  bool told_ = false;  // of a desired state
  bool lease_held_ = false;
  bool halted_ = false;
  bool stopped_ = false;
  bool changed_ = false;
};

}  // namespace faultline::agent
