// The gRPC services of a controller, made without showing gRPC to who makes them.
#pragma once

#include <grpcpp/impl/codegen/service_type.h>

#include <memory>

#include "server/agent_sessions.h"
#include "server/experiment_service.h"
#include "server/metrics_hub.h"
#include "server/read_service.h"
#include "server/recorder.h"
#include "server/scheduler.h"
#include "server/version_switch.h"
#include "server/watch_hub.h"
#include "server/webhooks.h"

namespace faultline::server {

// What the services call; all of it outlives them.
struct Parts {
  uint64_t node_id = 0;
  ControlPlane* plane = nullptr;
  LeaderClient* leader = nullptr;
  ExperimentService* experiments = nullptr;
  ReadService* reads = nullptr;
  WatchHub* watches = nullptr;
  MetricsHub* metrics = nullptr;
  Recorder* recorder = nullptr;
  AgentSessions* sessions = nullptr;
  Scheduler* scheduler = nullptr;
  VersionSwitch* versions = nullptr;
  Webhooks* webhooks = nullptr;
  Gates* gates = nullptr;
};

// For the API listener.
std::unique_ptr<grpc::Service> MakeChaosService(const Parts& parts);
std::unique_ptr<grpc::Service> MakeAgentService(const Parts& parts);
// For the peer listener, and for no other.
std::unique_ptr<grpc::Service> MakePeerService(const Parts& parts);

}  // namespace faultline::server
