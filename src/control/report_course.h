// How the parts that two nodes have of one target become one: by the clock and the batches of the
// target's agent, which both have from it. Pure.
#pragma once

#include "chaos/v1/report.pb.h"

namespace faultline::control {

// Other experiments that a target tells of.
inline constexpr size_t kMaxOthers = 8;

// Whether both say when the fault began.
bool ShareAClock(const chaos::v1::TargetReport& a, const chaos::v1::TargetReport& b);

// Adds to `into`, which shares a clock with it, from the other node's part: its points; its
// batches, of which those that one node misses and the other has are not missing; other experiments
// on the target, of each once; and, since both
// have "before" from the same agent, that only if it is from before an earlier beginning of the
// fault, or there is more of it.
void MergeCourse(const chaos::v1::TargetReport& from, chaos::v1::TargetReport* into);

// Batches that its ranges tell of and that are not in it.
uint64_t MissingOfRanges(const chaos::v1::TargetReport& target);

// Where the fault began, on the axis of the points.
uint64_t FaultOffsetMs(const chaos::v1::TargetReport& target);

// Whether the fault was on before its node measured the target.
bool BeganElsewhere(const chaos::v1::TargetReport& part);

}  // namespace faultline::control
