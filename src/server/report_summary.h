// What a stored report says, computed when it is read: percentiles with their confidence, and what
// each parameter asked for against what was measured. Pure.
#pragma once

#include <string>
#include <vector>

#include "chaos/v1/report.pb.h"

namespace faultline::server {

// Targets whose fault was active and of which no measurement has come. Active were those of which
// the events say so, and those of the experiment's own whose fault had to be reverted, unless the
// events, all of which are there, say that its end came before it was active; or was lost, when the
// events are not all there.
std::vector<std::string> UnmeasuredTargets(const chaos::v1::Experiment& experiment,
                                           const chaos::v1::Report& report);

// Fills in all that report.proto says is made when a report is read; `report.experiment` is set.
// Without `keep_histograms` the histograms are taken out afterwards.
void Summarize(bool keep_histograms, chaos::v1::Report* report);

}  // namespace faultline::server
