// What is told of an ended experiment, as the updates of a stream. Pure.
#pragma once

#include <vector>

#include "chaos/v1/metrics.pb.h"
#include "chaos/v1/report.pb.h"

namespace faultline::server {

// An update for each point of each target, before and after the fault too, in order of time. Times
// are by the leader's clock, counted from when the target's fault became active; positions are the
// point's number in a source of incarnation 0, which no agent has. In a gap of the course those are
// missed that it has room for. `report` as it is stored.
std::vector<chaos::v1::MetricUpdate> HistoryOf(const chaos::v1::Experiment& experiment,
                                               const chaos::v1::Report& report);

// The update that tells the end.
chaos::v1::MetricUpdate EndOf(const chaos::v1::Experiment& experiment);

}  // namespace faultline::server
