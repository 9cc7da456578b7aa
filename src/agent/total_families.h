// What an agent has measured of its targets and faults, as Prometheus sees it.
#pragma once

#include "agent/sample_totals.h"
#include "http/exposition.h"

namespace faultline::agent {

// A histogram in which nothing was counted is left out: of hundreds of targets most would be. All
// else is there from its target's or fault's beginning, 0 or not. On any thread.
void AddTotals(const SampleTotals& totals, http::Families& families);

}  // namespace faultline::agent
