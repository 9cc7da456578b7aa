// What a reader of a report has to know is missing in it.
#pragma once

#include <string>
#include <vector>

#include "chaos/v1/report.pb.h"

namespace faultline::cli {

// TargetReport.before_age_ms that is worth a word: the time before the fault is not just before it.
inline constexpr uint64_t kOldBeforeMs = 5'000;

// Sentences: what was not measured, or not long enough or too long before the fault to compare
// with; what there was no room for.
std::vector<std::string> WarningsOf(const chaos::v1::Report& report);

}  // namespace faultline::cli
