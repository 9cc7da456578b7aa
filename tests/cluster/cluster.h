// Some controllers on loopback, and calls to each of them.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "chaos/v1/chaos.grpc.pb.h"
#include "rpc/endpoint.h"
#include "tests/cluster/process.h"

namespace faultline::cluster {

// Long enough for anything that happens at all on a loaded machine.
inline constexpr std::chrono::seconds kPatience{60};

// Polls until `condition` holds; false when it does not within kPatience.
bool Eventually(const std::function<bool()>& condition);

class Cluster {
 public:
  struct Options {
    int nodes = 1;
    std::string lease = "10s";
    rpc::TlsFiles tls = {};
    std::map<int, std::vector<std::string>> flags = {};        // more, by node
    std::map<int, std::string> programs = {};                  // other than DefaultProgram, by node
    std::map<int, std::vector<std::string>> environment = {};  // more, as NAME=value, by node
  };
  // The faultline-controller of this build.
  static std::string DefaultProgram();
  // Starts every node and waits until one leads and all serve.
  explicit Cluster(Options options);

  int size() const { return static_cast<int>(nodes_.size()); }
  std::string api_address(int node) const;
  std::string peer_address(int node) const;
  std::string data_dir(int node) const;
  std::vector<std::string> api_addresses() const;
  const rpc::TlsFiles& tls() const { return options_.tls; }

  void Start(int node);
  // From its next start on.
  void SetFlags(int node, std::vector<std::string> flags) {
    options_.flags[node] = std::move(flags);
  }
  void SetProgram(int node, std::string program) { options_.programs[node] = std::move(program); }
  Process& process(int node) { return *nodes_[static_cast<size_t>(node)].process; }
  // Node that leads, by what the running ones say; -1 when none does.
  int Leader();
  // The newest term that a node has led: as long as it stays, nobody else was elected.
  long Term() { return Newest().term; }
  // A leader other than `not_this`, waited for.
  int WaitForLeader(int not_this = -1);
  int Follower();

  // A stub of its own connection.
  std::unique_ptr<chaos::v1::ChaosController::Stub> Stub(int node) const;

  // Calls on a node, with a generous deadline.
  StatusOr<chaos::v1::Experiment> StartExperiment(int node,
                                                  const chaos::v1::StartExperimentRequest& request);
  StatusOr<chaos::v1::Experiment> Get(int node, const std::string& id, bool stale = false);
  StatusOr<chaos::v1::Experiment> Stop(int node, const std::string& id, int wait_s);
  StatusOr<chaos::v1::ListExperimentsResponse> List(int node, bool stale = false);
  StatusOr<chaos::v1::ListAgentsResponse> Agents(int node);
  // With its histograms.
  StatusOr<chaos::v1::Report> GetReport(int node, const std::string& id);
  // Waits until the node knows an agent, and that it is connected.
  bool WaitForAgent(int node);
  // Waits until an experiment has that phase on its only target.
  bool WaitForPhase(int node, const std::string& id, chaos::v1::TargetPhase phase);

 private:
  struct Node {
    int api_port = 0;
    int peer_port = 0;
    std::unique_ptr<Process> process;
    std::unique_ptr<chaos::v1::ChaosController::Stub> stub;
  };
  // Who has begun to lead last, by all logs; -1: nobody.
  struct Lead {
    int node = -1;
    long term = 0;
  };
  Lead Newest();
  std::string Members() const;
  using Stubs = chaos::v1::ChaosController::Stub;
  // Waits until the node is there, and for no longer than a call may take.
  template <typename Request, typename Response>
  StatusOr<Response> Call(int node,
                          grpc::Status (Stubs::*method)(grpc::ClientContext*, const Request&,
                                                        Response*),
                          const Request& request);

  Options options_;
  TempDir directory_;
  std::vector<Node> nodes_;
};

// NETWORK_LATENCY of 100 ms on a selector.
chaos::v1::StartExperimentRequest LatencyOn(const std::string& selector,
                                            const std::string& request_id = "");

}  // namespace faultline::cluster
