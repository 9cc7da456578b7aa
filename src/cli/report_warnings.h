// What a reader of a report has to know is missing in it.
#pragma once

#include <string>
#include <vector>

#include "chaos/v1/report.pb.h"

namespace faultline::cli {

// Sentences: what was not measured, or not long enough before the fault to compare with; what
// there was no room for.
std::vector<std::string> WarningsOf(const chaos::v1::Report& report);

}  // namespace faultline::cli
