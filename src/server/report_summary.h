// What a stored report says, computed when it is read: percentiles with their confidence, and what
// each parameter asked for against what was measured. Pure.
#pragma once

#include <string>
#include <vector>

#include "chaos/v1/report.pb.h"

namespace faultline::server {

// Targets whose fault was active and of which no measurement has come. Active were those of which
// the events say so, and, if there was no room for all events, those whose fault had to be reverted
// or was lost.
std::vector<std::string> UnmeasuredTargets(const chaos::v1::Report& report);

// Fills in all that report.proto says is made when a report is read; `report.experiment` is set.
// Without `keep_histograms` the histograms are taken out afterwards.
void Summarize(bool keep_histograms, chaos::v1::Report* report);

}  // namespace faultline::server
