// Many agents with one target each that measure: real sessions, each over a connection of its own.
// They hold their leases, say that whatever is desired is active, and send a batch at their rate,
// each at its own moment of the interval.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "chaos/v1/agent.pb.h"
#include "rpc/endpoint.h"

namespace faultline::bench {

class MetricAgents {
 public:
  // Buckets in use in each batch's histogram: as of a service with some hundred requests a second.
  static constexpr uint32_t kBuckets = 20;

  // Agents connect to `addresses` in turn, and measure from Measure on.
  MetricAgents(int count, double rate_hz, const std::vector<std::string>& addresses,
               const rpc::TlsFiles& tls);
  ~MetricAgents();

  // Agents that hold a lease: the cluster knows them.
  int ready() const;
  // Agents whose session has ended.
  int broken() const;
  void Measure(bool on) { measuring_ = on; }

  int size() const { return static_cast<int>(agents_.size()); }
  // "load-7", of target "load-7/t" with label service:checkout.
  static std::string AgentId(int agent);
  // Sequence of the newest batch that the agent has sent.
  uint64_t sent(int agent) const;

 private:
  class Agent;
  void Run();

  const double rate_hz_;
  std::vector<std::unique_ptr<Agent>> agents_;
  std::atomic<bool> measuring_{false};
  std::atomic<bool> ending_{false};
  std::thread thread_;
};

}  // namespace faultline::bench
