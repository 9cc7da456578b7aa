// How an experiment's report grows from the parts that nodes record. Pure.
#pragma once

#include "chaos/v1/report.pb.h"
#include "control/v1/command.pb.h"

namespace faultline::control {

inline constexpr int kMaxReportEvents = 500;

// Lowest version (control/version.h) that knows the part; from kTrafficVersion on it may tell of
// traffic, from kEventsVersion on of rare events, from kLeftOutVersion on of what it leaves out,
// from kDelaysVersion on of how long faults' packets waited, from kTimesVersion on of its agents'
// clocks and batches, from kArmingsVersion on of faults' armings, of other experiments and of what
// was not measurable of a point.
inline constexpr uint32_t kReportVersion = 3;
inline constexpr uint32_t kTrafficVersion = 5;
inline constexpr uint32_t kEventsVersion = 6;
inline constexpr uint32_t kLeftOutVersion = 8;
inline constexpr uint32_t kDelaysVersion = 9;
inline constexpr uint32_t kTimesVersion = 9;
inline constexpr uint32_t kArmingsVersion = 10;
uint32_t VersionOf(const ::control::v1::RecordReport& part);
// Takes out what that version does not know; it knows reports.
void FitVersion(uint32_t version, ::control::v1::RecordReport* part);

// Adds a part. A target that an agent's other node has reported as well is merged with it; what a
// node has reported before, and events that stand there already, are not added again. The report
// gives up what it has no room for (report_fit.h). `version`: the state's.
void AddToReport(const ::control::v1::RecordReport& part, uint32_t version,
                 chaos::v1::Report* report);

}  // namespace faultline::control
