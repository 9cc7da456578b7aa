// Agents with many targets each, for benchmarks of the control plane: they speak AgentService for
// real, hold their leases and arm nothing.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "chaos/v1/agent.pb.h"
#include "rpc/endpoint.h"

namespace faultline::bench {

class IdleAgents {
 public:
  static constexpr int kTargetsEach = 500;

  // Agents with `targets` targets in all connect to `addresses` in turn. Until Report they read
  // nothing of what they are told, as a host that is very busy.
  IdleAgents(int targets, const std::vector<std::string>& addresses, const rpc::TlsFiles& tls);
  ~IdleAgents();

  // What agent `number` says of itself.
  static chaos::v1::Agent Describe(int number);
  // A selector of one target and no other.
  static std::string Selector(int target);

  // Whether they read and report: what is desired as active, all else as reverted.
  void Report(bool on);

 private:
  class Agent;
  std::vector<std::unique_ptr<Agent>> agents_;
};

}  // namespace faultline::bench
