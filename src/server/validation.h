// Requests checked once, where they enter; what follows takes them as right. Errors are
// FieldErrors.
#pragma once

#include <set>
#include <string>

#include "base/status.h"
#include "chaos/v1/agent.pb.h"
#include "chaos/v1/chaos.pb.h"
#include "control/state.h"

namespace faultline::server {

// Limits of requests, beside those stated in the .proto files.
inline constexpr int kMaxFaults = 16;
inline constexpr size_t kMaxTextBytes = 1'024;
inline constexpr int kMaxExperimentIds = 1'000;
inline constexpr size_t kMaxAgentTargets = 1'000;

// The command of a StartExperiment: parameters parsed by their kinds, defaults filled in.
// created_by and lease are the caller's to fill in; so are request id and seed when the request has
// none.
StatusOr<control::v1::CreateExperiment> ToCommand(const chaos::v1::StartExperimentRequest& request);

// The command of a StopExperiment.
StatusOr<control::v1::StopExperiments> ToCommand(const chaos::v1::StopExperimentRequest& request);
// How long to wait for the reverts; 0 is not.
StatusOr<uint64_t> WaitNs(const chaos::v1::StopExperimentRequest& request);

Status Validate(const chaos::v1::ListExperimentsRequest& request);
Status Validate(const chaos::v1::WatchExperimentsRequest& request);
Status Validate(const chaos::v1::SubscribeToMetricsRequest& request);
// What an agent says of itself: ids, and targets whose ids begin with the agent's.
Status Validate(const chaos::v1::AgentHello& hello);

// The ids named by `experiment_id` and `experiment_ids` together.
template <typename Request>
std::set<std::string> IdsOf(const Request& request) {
  std::set<std::string> ids(request.experiment_ids().begin(), request.experiment_ids().end());
  if (!request.experiment_id().empty()) ids.insert(request.experiment_id());
  return ids;
}

}  // namespace faultline::server
