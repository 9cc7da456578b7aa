#include "tests/cluster/cluster.h"

#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "rpc/credentials.h"
#include "rpc/status.h"
#include "tests/eventually.h"
#include "tests/ports/free_ports.h"

namespace faultline::cluster {
namespace {

constexpr std::chrono::seconds kCall{20};

void Prepare(grpc::ClientContext* context) {
  context->set_deadline(std::chrono::system_clock::now() + kCall);
  context->set_wait_for_ready(true);
}

}  // namespace

bool Eventually(const std::function<bool()>& condition) {
  return HoldsWithin(kPatience, std::chrono::milliseconds(20), condition);
}

std::string Cluster::DefaultProgram() { return FAULTLINE_BIN_DIR "/faultline-controller"; }

Cluster::Cluster(Options options) : options_(std::move(options)) {
  const std::vector<int> ports = FreePorts(2 * options_.nodes);
  for (int i = 0; i < options_.nodes; ++i) {
    Node node;
    node.api_port = ports[static_cast<size_t>(2 * i)];
    node.peer_port = ports[static_cast<size_t>(2 * i + 1)];
    nodes_.push_back(std::move(node));
  }
  for (int i = 0; i < options_.nodes; ++i) {
    Start(i);
    nodes_[static_cast<size_t>(i)].stub = Stub(i);
  }
  WaitForLeader();
  // A leader may be elected before its own clients can reach it.
  for (int i = 0; i < options_.nodes; ++i) {
    const auto serves = [&] { return process(i).log().find(" serves on ") != std::string::npos; };
    EXPECT_TRUE(Eventually(serves)) << process(i).log();
  }
}

std::string Cluster::api_address(int node) const {
  return fmt::format("127.0.0.1:{}", nodes_[static_cast<size_t>(node)].api_port);
}
std::string Cluster::peer_address(int node) const {
  return fmt::format("127.0.0.1:{}", nodes_[static_cast<size_t>(node)].peer_port);
}
std::string Cluster::data_dir(int node) const {
  return fmt::format("{}/node-{}", directory_.path(), node + 1);
}

std::vector<std::string> Cluster::api_addresses() const {
  std::vector<std::string> addresses;
  for (int i = 0; i < size(); ++i) addresses.push_back(api_address(i));
  return addresses;
}

std::string Cluster::Members() const {
  std::string members;
  for (int i = 0; i < size(); ++i) {
    members += fmt::format("{}{}={}", i == 0 ? "" : ",", i + 1, peer_address(i));
  }
  return members;
}

void Cluster::Start(int node) {
  const std::string& program = options_.programs[node];
  std::vector<std::string> command;
  if (const auto& environment = options_.environment[node]; !environment.empty()) {
    command = {"/usr/bin/env"};
    command.insert(command.end(), environment.begin(), environment.end());
  }
  command.insert(command.end(),
                 {program.empty() ? DefaultProgram() : program, "--id", fmt::format("{}", node + 1),
                  "--data-dir", data_dir(node), "--api-listen", api_address(node), "--peer-listen",
                  peer_address(node), "--lease", options_.lease});
  if (size() > 1) command.insert(command.end(), {"--members", Members()});
  if (options_.tls.enabled()) {
    command.insert(command.end(), {"--tls-ca", options_.tls.ca_file, "--tls-cert",
                                   options_.tls.cert_file, "--tls-key", options_.tls.key_file});
  }
  const auto& flags = options_.flags[node];
  if (std::find(flags.begin(), flags.end(), "--http-listen") == flags.end()) {
    command.insert(command.end(), {"--http-listen", "off"});
  }
  command.insert(command.end(), flags.begin(), flags.end());
  nodes_[static_cast<size_t>(node)].process = std::make_unique<Process>(
      command, fmt::format("{}/node-{}.log", directory_.path(), node + 1));
}

Cluster::Lead Cluster::Newest() {
  constexpr std::string_view kLine = "is now leader of term ";
  Lead newest;
  for (int i = 0; i < size(); ++i) {
    const std::string log = process(i).log();
    for (size_t at = log.find(kLine); at != std::string::npos; at = log.find(kLine, at + 1)) {
      const long term = std::strtol(log.c_str() + at + kLine.size(), nullptr, 10);
      if (term > newest.term) newest = {i, term};
    }
  }
  return newest;
}

int Cluster::Leader() {
  const int node = Newest().node;
  return node >= 0 && process(node).running() ? node : -1;
}

int Cluster::WaitForLeader(int not_this) {
  int leader = -1;
  const bool found = Eventually([&] {
    leader = Leader();
    return leader >= 0 && leader != not_this;
  });
  EXPECT_TRUE(found) << "no node leads";
  return leader;
}

int Cluster::Follower() { return (WaitForLeader() + 1) % size(); }

std::unique_ptr<chaos::v1::ChaosController::Stub> Cluster::Stub(int node) const {
  const auto credentials = rpc::ChannelCredentials(options_.tls, api_address(node));
  EXPECT_TRUE(credentials.ok()) << credentials.status();
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 200);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  // How long one attempt may take: a handshake on a machine that is busy.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 2'000);
  return chaos::v1::ChaosController::NewStub(
      grpc::CreateCustomChannel(api_address(node), *credentials, arguments));
}

template <typename Request, typename Response>
StatusOr<Response> Cluster::Call(int node,
                                 grpc::Status (Stubs::*method)(grpc::ClientContext*, const Request&,
                                                               Response*),
                                 const Request& request) {
  grpc::ClientContext context;
  Prepare(&context);
  Response response;
  const auto status =
      (nodes_[static_cast<size_t>(node)].stub.get()->*method)(&context, request, &response);
  if (!status.ok()) return rpc::FromGrpc(status);
  return response;
}

StatusOr<chaos::v1::Experiment> Cluster::StartExperiment(
    int node, const chaos::v1::StartExperimentRequest& request) {
  FL_ASSIGN_OR_RETURN(const auto response, Call(node, &Stubs::StartExperiment, request));
  return response.experiment();
}

StatusOr<chaos::v1::Experiment> Cluster::Get(int node, const std::string& id, bool stale) {
  chaos::v1::GetExperimentRequest request;
  request.set_experiment_id(id);
  request.set_stale(stale);
  FL_ASSIGN_OR_RETURN(const auto response, Call(node, &Stubs::GetExperiment, request));
  return response.experiment();
}

StatusOr<chaos::v1::Experiment> Cluster::Stop(int node, const std::string& id, int wait_s) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  context.set_wait_for_ready(true);
  chaos::v1::StopExperimentRequest request;
  request.set_experiment_id(id);
  request.mutable_wait()->set_seconds(wait_s);
  chaos::v1::StopExperimentResponse response;
  const auto status =
      nodes_[static_cast<size_t>(node)].stub->StopExperiment(&context, request, &response);
  if (!status.ok()) return rpc::FromGrpc(status);
  return response.experiments(0);
}

StatusOr<chaos::v1::ListExperimentsResponse> Cluster::List(int node, bool stale) {
  chaos::v1::ListExperimentsRequest request;
  request.set_stale(stale);
  return Call(node, &Stubs::ListExperiments, request);
}

StatusOr<chaos::v1::ListAgentsResponse> Cluster::Agents(int node) {
  return Call(node, &Stubs::ListAgents, chaos::v1::ListAgentsRequest());
}

StatusOr<chaos::v1::Report> Cluster::GetReport(int node, const std::string& id) {
  chaos::v1::GetReportRequest request;
  request.set_experiment_id(id);
  request.set_include_histograms(true);
  FL_ASSIGN_OR_RETURN(const auto response, Call(node, &Stubs::GetReport, request));
  return response.report();
}

bool Cluster::WaitForAgent(int node) {
  return Eventually([&] {
    const auto agents = Agents(node);
    return agents.ok() && agents->agents_size() > 0 && agents->agents(0).connected();
  });
}

bool Cluster::WaitForPhase(int node, const std::string& id, chaos::v1::TargetPhase phase) {
  return Eventually([&] {
    const auto experiment = Get(node, id);
    return experiment.ok() && experiment->targets(0).phase() == phase;
  });
}

chaos::v1::StartExperimentRequest LatencyOn(const std::string& selector,
                                            const std::string& request_id) {
  chaos::v1::StartExperimentRequest request;
  request.set_target(selector);
  request.set_request_id(request_id);
  request.set_fault_type("NETWORK_LATENCY");
  (*request.mutable_parameters())["delay_ms"] = "100";
  return request;
}

}  // namespace faultline::cluster
