// What was measured on a target in a stretch of time: exact sums.
#pragma once

#include <cstdint>

#include "chaos/v1/metrics.pb.h"
#include "chaos/v1/report.pb.h"

namespace faultline {

// Adds `from` to `into`: sums, and exactly merged histograms. What is no histogram of ours is not
// counted.
void AddMeasurements(const chaos::v1::Measurements& from, chaos::v1::Measurements* into);

// Adds what is summed up of a fault's effect, beside its counters: those are totals since it was
// armed, and what they come to together is the caller's to know.
void AddSums(const chaos::v1::FaultEffect& from, chaos::v1::FaultEffect* into);

// What a sample of so long an interval says, but for its faults.
chaos::v1::Measurements ToMeasurements(const chaos::v1::TargetSample& sample, uint64_t interval_ns);

// Time between two neighbouring points of a course that nothing is known of; 0 when that is not
// worth showing: less than a second, or than a quarter of the point after it.
uint64_t GapMs(const chaos::v1::ReportPoint& before, const chaos::v1::ReportPoint& after);

}  // namespace faultline
