// From the kernel's counters to the messages that leave the agent.
#pragma once

#include "chaos/v1/metrics.pb.h"
#include "faults/driver.h"
#include "faults/network/drops.h"
#include "faults/network/kernel.h"
#include "faults/network/plan.h"

namespace faultline::network {

// What was measured on that target since the last TakeSample or ClearSample; takes it out of the
// shared memory while packets go on. ClearSample is for a target that is not measured: it gives
// back the memory of its counters.
chaos::v1::TargetSample TakeSample(Kernel* kernel, DropWatch* drops, unsigned target);
void ClearSample(Kernel* kernel, DropWatch* drops, unsigned target);

chaos::v1::FaultCounters ToCounters(const faults::FaultKey& key, const fl_counters& counters,
                                    const ActedAs& acted);

}  // namespace faultline::network
