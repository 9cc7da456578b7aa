// Streams of metrics: what a subscriber gets, and when its stream ends. Includes gRPC: for the .cc
// files of services only.
#pragma once

#include <memory>

#include "server/pull_stream.h"
#include "server/services.h"

namespace faultline::server {

using MetricStream = PullStream<chaos::v1::MetricUpdate>;

// Whether this node knows every experiment that is named.
bool KnowsAll(const Parts& parts, const chaos::v1::SubscribeToMetricsRequest& request);

// Feeds the stream with what was asked for, validated before, on a node that is as fresh as any. It
// holds the ticket until its end.
void StreamMetrics(const Parts& parts, const std::shared_ptr<MetricStream>& stream,
                   const chaos::v1::SubscribeToMetricsRequest& request,
                   const std::shared_ptr<Gate::Ticket>& ticket);

}  // namespace faultline::server
