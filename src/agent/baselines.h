// What the agent keeps of its targets' time without a fault, to give it to a node that has none of
// it. Not thread-safe.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "base/baseline.h"
#include "chaos/v1/agent.pb.h"

namespace faultline::agent {

class Baselines {
 public:
  // Of all targets that are given together, and of one message, unless a single target is larger:
  // what is more urgent passes between two messages.
  static constexpr size_t kMaxGivenBytes = 1 << 20;
  static constexpr size_t kMaxMessageBytes = 64 << 10;

  // As a node tells; 0 changes nothing.
  void SetKept(std::chrono::milliseconds kept);
  // Each of the agent's batches once, in order.
  void Add(const chaos::v1::MetricsBatch& batch);
  // What is kept, in the order to be sent: targets with a fault first, and as many as there is room
  // for.
  std::vector<chaos::v1::AgentBaselines> Give() const;

 private:
  std::chrono::milliseconds kept_ = Baseline::kDefaultKept;
  uint64_t sequence_ = 0;                    // of the newest batch
  std::map<std::string, Baseline> targets_;  // by id; as many as the configuration has
};

}  // namespace faultline::agent
