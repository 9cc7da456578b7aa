#include "e2e/agent_system.h"

#include <grpcpp/create_channel.h>

#include <fstream>

#include "agent/local_service.h"
#include "chaos/v1/chaos.grpc.pb.h"
#include "rpc/credentials.h"
#include "rpc/status.h"
#include "tests/ports/free_ports.h"

namespace faultline::e2e {
namespace {

constexpr std::chrono::seconds kPatience{60};

void SetPatience(grpc::ClientContext& context) {
  context.set_wait_for_ready(true);
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
}

}  // namespace

struct AgentSystem::Api {
  explicit Api(const std::string& address)
      : stub(chaos::v1::ChaosController::NewStub(
            grpc::CreateChannel(address, *rpc::ChannelCredentials({}, address)))) {}
  const std::unique_ptr<chaos::v1::ChaosController::Stub> stub;
};

AgentSystem::AgentSystem(const NetPair& net, const std::string& lease) {
  const std::string api = fmt::format("127.0.0.1:{}", FreePort());
  const std::string peer = fmt::format("127.0.0.1:{}", FreePort());
  controller_ = std::make_unique<Process>(
      std::vector<std::string>{FAULTLINE_BIN_DIR "/faultline-controller", "--data-dir",
                               folder_.path() + "/controller", "--api-listen", api, "--peer-listen",
                               peer, "--lease", lease, "--http-listen", "off"},
      folder_.path() + "/controller.log");
  agent_config_ = WriteAgentConfig(folder_.path(), net, {api});
  api_ = std::make_unique<Api>(api);
  address_ = api;
}

AgentSystem::~AgentSystem() = default;

void AgentSystem::AddToAgentConfig(const std::string& lines) const {
  std::ofstream(agent_config_, std::ios::app) << lines;
}

uint64_t AgentSystem::ConnectedIncarnation() {
  grpc::ClientContext context;
  SetPatience(context);
  chaos::v1::ListAgentsResponse response;
  if (!api_->stub->ListAgents(&context, {}, &response).ok()) return 0;
  for (const auto& agent : response.agents()) {
    if (agent.connected()) return agent.incarnation();
  }
  return 0;
}

Status AgentSystem::StartAgent() {
  agent_.reset();
  agent_ = std::make_unique<Process>(std::vector<std::string>{FAULTLINE_BIN_DIR "/faultline-agent",
                                                              "--config", agent_config_, "run"},
                                     folder_.path() + "/agent.log");
  const uint64_t before = incarnation_;
  const auto is_connected = [&] {
    incarnation_ = ConnectedIncarnation();
    return incarnation_ != 0 && incarnation_ != before;
  };
  bool connected = false;
  Eventually([&] { return (connected = is_connected()) || !agent_->Running(); }, kPatience);
  if (connected) return absl::OkStatus();
  return MakeError(StatusCode::kUnavailable, "the agent does not connect:\n{}", Logs());
}

pid_t AgentSystem::GuardianPid() const {
  const auto status = agent::AskStatus(agent_socket());
  return status.ok() ? static_cast<pid_t>(status->guardian_pid()) : 0;
}

Status AgentSystem::StartExperiment(const std::string& kind,
                                    const std::map<std::string, std::string>& parameters) {
  chaos::v1::StartExperimentRequest request;
  request.set_target("service:checkout,version:v1");
  request.set_fault_type(kind);
  request.mutable_parameters()->insert(parameters.begin(), parameters.end());
  request.mutable_duration()->set_seconds(3'600);
  Status started;
  // An agent that is just opening another stream, as on a busy machine, takes no fault.
  Eventually(
      [&] {
        grpc::ClientContext context;
        SetPatience(context);
        chaos::v1::StartExperimentResponse response;
        started = rpc::FromGrpc(api_->stub->StartExperiment(&context, request, &response));
        return ReasonOf(started) != "AGENT_DISCONNECTED";
      },
      kPatience);
  return started;
}

StatusOr<chaos::v1::FaultCounters> AgentSystem::Counters() const {
  chaos::v1::SubscribeToMetricsRequest request;
  request.set_all(true);
  grpc::ClientContext context;
  SetPatience(context);
  const auto stream = api_->stub->SubscribeToMetrics(&context, request);
  chaos::v1::MetricUpdate update;
  while (stream->Read(&update)) {
    if (update.faults().empty()) continue;
    context.TryCancel();
    return update.faults(0);
  }
  return MakeError(StatusCode::kUnavailable, "no update tells of a fault: {}", Logs());
}

std::string AgentSystem::Logs() const { return Shell("tail -n 20 " + folder_.path() + "/*.log"); }

}  // namespace faultline::e2e
