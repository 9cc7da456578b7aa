// How the counters that two nodes have of one fault on one target become one: they start anew
// whenever the fault is armed, and an agent may change its node in the middle of an arming. Pure.
#pragma once

#include "chaos/v1/report.pb.h"

namespace faultline::control {

// Armings that an effect tells of; what earlier ones did is in its counters only.
inline constexpr int kMaxArmings = 16;

// Armings that an effect goes on telling of when there is no room for more.
inline constexpr int kFewArmings = 2;

// into[field] += from[field] for every counter.
void AddUpCounters(const chaos::v1::FaultCounters& from, chaos::v1::FaultCounters* into);

// into[field] -= less[field] for every counter, not below 0.
void TakeOffCounters(const chaos::v1::FaultCounters& less, chaos::v1::FaultCounters* into);

// Whether no other node can have anything of it.
bool IsWhole(const chaos::v1::FaultArming& arming);

// Forgets all armings but the last `most`; what they did stays in the counters.
void KeepLastArmings(int most, chaos::v1::FaultEffect* effect);

// Adds to `into` the counters and armings of another node's part. Of an arming that both tell of
// the larger counters count, of different ones the sum; before version 10, which tells of none, the
// larger of all counters.
void MergeCounters(const chaos::v1::FaultEffect& from, chaos::v1::FaultEffect* into);

}  // namespace faultline::control
