// What is read and not changed: linearizable unless asked for stale (docs/decisions/0018-reads.md).
#pragma once

#include "chaos/v1/chaos.pb.h"
#include "server/agent_sessions.h"
#include "server/leader_client.h"

namespace faultline::server {

class ReadService {
 public:
  // All outlive the object's last call. `sessions` knows when this node's agents were last heard
  // of.
  ReadService(uint64_t node_id, ControlPlane* plane, LeaderClient* leader, AgentSessions* sessions)
      : node_id_(node_id), plane_(plane), leader_(leader), sessions_(sessions) {}

  // NOT_FOUND (EXPERIMENT_NOT_FOUND) for an unknown id.
  void GetExperiment(const CallContext& context, const chaos::v1::GetExperimentRequest& request,
                     Done<chaos::v1::GetExperimentResponse> done);
  // NOT_FOUND as above; FAILED_PRECONDITION with reason NOT_ENDED or NO_REPORT.
  void GetReport(const CallContext& context, const chaos::v1::GetReportRequest& request,
                 Done<chaos::v1::GetReportResponse> done);
  void ListExperiments(const CallContext& context, const chaos::v1::ListExperimentsRequest& request,
                       Done<chaos::v1::ListExperimentsResponse> done);
  void ListAgents(const CallContext& context, const chaos::v1::ListAgentsRequest& request,
                  Done<chaos::v1::ListAgentsResponse> done);
  void ListTargets(const CallContext& context, const chaos::v1::ListTargetsRequest& request,
                   Done<chaos::v1::ListTargetsResponse> done);
  // From the registry: the same on every node of one version.
  static chaos::v1::ListFaultKindsResponse ListFaultKinds();

 private:
  // Calls answer(state, version, &response) on the present state, and says how fresh it is.
  template <typename Response, typename Answer>
  StatusOr<Response> Look(bool stale, const Answer& answer);
  // The same on a state as fresh as asked for.
  template <typename Response, typename Answer>
  void Read(const CallContext& context, bool stale, Done<Response> done, Answer answer);

  const uint64_t node_id_;
  ControlPlane* const plane_;
  LeaderClient* const leader_;
  AgentSessions* const sessions_;
};

}  // namespace faultline::server
