// Whether what a report lacks is still to come. Pure.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "chaos/v1/chaos.pb.h"

namespace faultline::cli {

// The report is written in parts some seconds after the end: none is there, or not all.
bool IsOnItsWay(const StatusOr<chaos::v1::GetReportResponse>& response);

// The experiment ended so long ago that what is not there will not come. By the controller's clock;
// by the caller's own, which shows `own_unix_ns`, where the controller does not tell it.
bool EndedLongAgo(const chaos::v1::GetExperimentResponse& response, int64_t own_unix_ns);

}  // namespace faultline::cli
