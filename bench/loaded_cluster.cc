#include "loaded_cluster.h"

#include <grpcpp/channel.h>
#include <unistd.h>

#include "base/clock.h"
#include "rpc/status.h"
#include "tests/cluster/test_agent.h"
#include "writers.h"

namespace faultline::bench {
namespace {

using Stub = chaos::v1::ChaosController::Stub;

constexpr uint64_t kPatienceNs = 30 * kNanosPerSecond;

}  // namespace

Status WaitForLeases(const cluster::Cluster& cluster) {
  for (int node = 0; node < cluster.size(); ++node) {
    const cluster::TestAgent agent(
        {.controllers = {cluster.api_address(node)}, .tls = cluster.tls()});
    if (!cluster::Eventually([&] { return agent.grants() > 0; })) {
      return MakeError(StatusCode::kUnavailable, "a node grants no leases");
    }
  }
  return absl::OkStatus();
}

Status LoadedCluster::Ready() {
  leader_ = cluster_.WaitForLeader();
  stub_ =
      chaos::v1::ChaosController::NewStub(Connect(cluster_.api_address(leader_), cluster_.tls()));
  FL_RETURN_IF_ERROR(WaitForLeases(cluster_));
  agents_ = std::make_unique<IdleAgents>(targets_, cluster_.api_addresses(), cluster_.tls());
  // One experiment for each agent, until all of them are known and connected.
  for (int target = 0; target < targets_; target += IdleAgents::kTargetsEach) {
    FL_RETURN_IF_ERROR(StartWhenConnected(target));
  }
  return CleanUp();
}

std::vector<std::unique_ptr<LoadClient>> LoadedCluster::Clients(int count, bool again) {
  if (again) next_target_ = 0;
  return StartClients(count, cluster_.api_address(leader_), cluster_.tls(), &next_target_);
}

Status LoadedCluster::CleanUp() {
  chaos::v1::StopExperimentRequest stop;
  stop.set_all(true);
  stop.mutable_wait()->set_seconds(60);
  agents_->Report(true);
  FL_ASSIGN_OR_RETURN(const auto stopped, Call(&Stub::StopExperiment, stop));
  agents_->Report(false);
  for (const auto& experiment : stopped.experiments()) {
    if (!experiment.has_ended_at()) {
      return MakeError(StatusCode::kDeadlineExceeded, "the experiments of a window do not end");
    }
  }
  return absl::OkStatus();
}

double LoadedCluster::CpuSeconds() {
  double seconds = 0;
  for (int node = 0; node < cluster_.size(); ++node) {
    seconds += CpuSecondsOf(cluster_.process(node).pid());
  }
  return seconds;
}

template <typename Request, typename Response>
StatusOr<Response> LoadedCluster::Call(grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                                    const Request&, Response*),
                                       const Request& request) const {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(70));
  Response response;
  const grpc::Status status = (stub_.get()->*method)(&context, request, &response);
  if (!status.ok()) return rpc::FromGrpc(status);
  return response;
}

Status LoadedCluster::StartWhenConnected(int target) {
  const uint64_t end_ns = MonotonicNowNs() + kPatienceNs;
  chaos::v1::StartExperimentRequest request;
  request.set_target(IdleAgents::Selector(target));
  request.set_fault_type("NETWORK_LATENCY");
  (*request.mutable_parameters())["delay_ms"] = "100";
  Status status;
  do {
    status = Call(&Stub::StartExperiment, request).status();
    if (status.ok()) return status;
    usleep(50'000);
  } while (MonotonicNowNs() < end_ns);
  return status;
}

}  // namespace faultline::bench
