// What the agent keeps of its targets' time without a fault, to give it to a node that has none of
// it. Not thread-safe.
#pragma once

#include <chrono>
#include <map>
#include <string>

#include "base/baseline.h"
#include "chaos/v1/agent.pb.h"

namespace faultline::agent {

class Baselines {
 public:
  // Of all targets together in one hello.
  static constexpr size_t kMaxGivenBytes = 1 << 20;

  // As a node tells; 0 changes nothing.
  void SetKept(std::chrono::milliseconds kept);
  // Each of the agent's batches once, in order.
  void Add(const chaos::v1::MetricsBatch& batch);
  // Adds what is kept: targets with a fault first, and as many as there is room for.
  void Give(chaos::v1::AgentHello* hello) const;

 private:
  std::chrono::milliseconds kept_ = Baseline::kDefaultKept;
  std::map<std::string, Baseline> targets_;  // by id; as many as the configuration has
};

}  // namespace faultline::agent
