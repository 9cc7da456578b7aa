// Starting and stopping experiments.
#pragma once

#include <chrono>

#include "chaos/v1/chaos.pb.h"
#include "server/leader_client.h"

namespace faultline::server {

class ExperimentService {
 public:
  // `lease` is the control-plane lease that agents hold faults by.
  ExperimentService(ControlPlane* plane, LeaderClient* leader, std::chrono::milliseconds lease)
      : plane_(plane), leader_(leader), lease_(lease) {}

  // Validates, and has the leader create the experiment. Errors of server/validation.h,
  // control/admission.h and LeaderClient.
  void Start(const CallContext& context, const chaos::v1::StartExperimentRequest& request,
             Done<chaos::v1::StartExperimentResponse> done);

  // Answers once the experiments are ending; with `wait`, once they have ended or the wait is over.
  void Stop(const CallContext& context, const chaos::v1::StopExperimentRequest& request,
            Done<chaos::v1::StopExperimentResponse> done);

 private:
  void WaitForEnd(const CallContext& context, uint64_t wait_ns,
                  chaos::v1::StopExperimentResponse response,
                  Done<chaos::v1::StopExperimentResponse> done);

  ControlPlane* const plane_;
  LeaderClient* const leader_;
  const std::chrono::milliseconds lease_;
};

}  // namespace faultline::server
