// Sites (tests/cluster/sites.h) that are far from each other: everything that leaves one is held by
// the network driver's delay lane in this process.
#pragma once

#include <memory>
#include <vector>

#include "etcd_cluster.h"
#include "load.h"
#include "netns/harness.h"
#include "tests/cluster/sites.h"

namespace faultline::bench {

class FarSites {
 public:
  // Links and delays; no controller runs yet. Moves the process into a network namespace of its
  // own: before it has another thread.
  static StatusOr<std::unique_ptr<FarSites>> Make(int count, double one_way_ms);

  cluster::Sites& sites() { return *sites_; }
  std::vector<EtcdCluster::Options::Place> Places() const;

  // Between the first two sites, by the time that a connection takes to be refused; the shortest of
  // a few.
  StatusOr<double> RoundTripMs() const;

  // Until some node leads and has committed something.
  Status WaitForFirstWrite(uint64_t patience_ns);
  // The newest leader, by the nodes' logs; 0: none.
  int Leader() const;
  // How often a node has stood for election, by the nodes' logs.
  int Elections() const;

 private:
  FarSites() = default;
  Status Delay(double one_way_ms);

  std::unique_ptr<cluster::Sites> sites_;
  std::vector<std::unique_ptr<LoadClient>> first_writer_;
  netns_test::MemoryUndoLog undo_;
  faults::LeasePage* lease_ = nullptr;
  std::unique_ptr<faults::Driver> driver_;  // ends before the namespaces
};

}  // namespace faultline::bench
