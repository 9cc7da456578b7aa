// What a report gives up when there is too much of it. Pure.
#pragma once

#include "chaos/v1/report.pb.h"
#include "control/v1/command.pb.h"

namespace faultline::control {

// Size of a stored report, and of the part that a node proposes. What is never given up (counts of
// every target, the experiment's events) may be more.
inline constexpr size_t kMaxReportBytes = 256 << 10;

// Gives up, from the last target on and until the rest fits: courses, then events of connections,
// then faults' earlier armings, then histograms. Targets say what they gave up, but for armings, of
// which reports do not tell; histograms are merged into `left_out`, so that what is measured over
// all targets stays exact.
void Fit(chaos::v1::Report* report);
void Fit(::control::v1::RecordReport* part);

// Merges the target's histograms, of which it keeps the counts, into `left_out`.
void GiveUpHistograms(chaos::v1::TargetReport* target, chaos::v1::LeftOut* left_out);

// Adds histograms that a node gave up.
void AddLeftOut(const chaos::v1::LeftOut& from, chaos::v1::LeftOut* into);

// Points that a node's course of each of so many targets may have, so that all courses together
// take no more than half of a report. At least kFewPoints.
inline constexpr size_t kFewPoints = 12;
size_t PointsFor(size_t targets);

}  // namespace faultline::control
