// From the kernel's counters to the messages that leave the agent.
#pragma once

#include "chaos/v1/metrics.pb.h"
#include "faults/driver.h"
#include "faults/network/kernel.h"

namespace faultline::network {

// What was measured on that target since the last TakeSample or ClearSample; takes it out of the
// shared memory while packets go on.
chaos::v1::TargetSample TakeSample(Kernel* kernel, unsigned target);
void ClearSample(Kernel* kernel, unsigned target);

// `set_acted` is of the counter that tells on how many packets the fault's kind acted.
chaos::v1::FaultCounters ToCounters(const faults::FaultKey& key, const fl_counters& counters,
                                    void (chaos::v1::FaultCounters::*set_acted)(uint64_t));

}  // namespace faultline::network
