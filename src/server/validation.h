// Requests checked once, where they enter; what follows takes them as right. Errors are
// FieldErrors.
#pragma once

#include <set>
#include <string>

#include "base/status.h"
#include "chaos/v1/agent.pb.h"
#include "chaos/v1/chaos.pb.h"
#include "chaos/v1/metrics.pb.h"
#include "control/state.h"

namespace faultline::server {

// Limits of requests, beside those stated in the .proto files.
inline constexpr int kMaxMessageBytes = 16 << 20;
inline constexpr int kMaxFaults = 16;
inline constexpr size_t kMaxTextBytes = 1'024;
inline constexpr int kMaxExperimentIds = 1'000;
inline constexpr int kMaxAgentTargets = 1'000;
// Of one target in one batch: those that are armed, and those that ended since the batch before.
inline constexpr int kMaxSampleFaults = 64;
// Of all baselines that an agent gives in one stream.
inline constexpr size_t kMaxBaselineBytes = 2 << 20;

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
// As much as an agent can have measured; whether it is its own is the caller's to check.
Status Validate(const chaos::v1::MetricsBatch& batch);

// The baselines of one stream, message by message. Not thread-safe.
class BaselineLimits {
 public:
  // OK when each target is in these messages once, and all of them have as much as is kept.
  Status Check(const chaos::v1::AgentBaselines& given);

 private:
  std::set<std::string> targets_;
  size_t bytes_ = 0;
};

// The ids named by `experiment_id` and `experiment_ids` together.
template <typename Request>
std::set<std::string> IdsOf(const Request& request) {
  std::set<std::string> ids(request.experiment_ids().begin(), request.experiment_ids().end());
  if (!request.experiment_id().empty()) ids.insert(request.experiment_id());
  return ids;
}

}  // namespace faultline::server
