// The real agent over a driver that counts instead of measuring: its reading n, which is its batch
// n, has one packet of n bytes, and every fault that is armed has dropped one packet for each
// reading since it was.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/agent.h"
#include "rpc/endpoint.h"
#include "tests/cluster/process.h"

namespace faultline::cluster {

class CountingAgent {
 public:
  // Forks the guardian: to be made before other threads are.
  CountingAgent();
  // With agent id "host" and the target "host/checkout", labels as TestAgent's.
  void Start(const std::vector<std::string>& controllers, const rpc::TlsFiles& tls = {});

 private:
  TempDir directory_;
  std::unique_ptr<agent::UndoJournal> journal_;
  std::unique_ptr<agent::Guardian> guardian_;
  std::unique_ptr<agent::Agent> agent_;
};

}  // namespace faultline::cluster
