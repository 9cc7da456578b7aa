// Three controllers on loopback with idle agents: what the benchmarks of writes write to.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "chaos/v1/chaos.grpc.pb.h"
#include "idle_agents.h"
#include "load.h"
#include "tests/cluster/cluster.h"

namespace faultline::bench {

// Waits until every node grants leases: before that they send agents away.
Status WaitForLeases(const cluster::Cluster& cluster);

class LoadedCluster {
 public:
  // With agents for `targets` targets.
  LoadedCluster(const rpc::TlsFiles& tls, int targets)
      : cluster_({.nodes = 3, .tls = tls}), targets_(targets) {}

  // Waits for a leader, and for every agent to be known; nothing runs then.
  Status Ready();

  // `count` clients of the leader that start an experiment each time, on the next target of this
  // cluster; from the first target on when `again`.
  std::vector<std::unique_ptr<LoadClient>> Clients(int count, bool again = true);

  // Stops everything and waits until every experiment has ended.
  Status CleanUp();

  // CPU time of the three processes, theirs since they began.
  double CpuSeconds();

 private:
  template <typename Request, typename Response>
  StatusOr<Response> Call(grpc::Status (chaos::v1::ChaosController::Stub::*method)(
                              grpc::ClientContext*, const Request&, Response*),
                          const Request& request) const;
  Status StartWhenConnected(int target);

  cluster::Cluster cluster_;
  const int targets_;
  std::unique_ptr<IdleAgents> agents_;
  int leader_ = -1;
  std::unique_ptr<chaos::v1::ChaosController::Stub> stub_;
  std::atomic<int> next_target_{0};
};

}  // namespace faultline::bench
