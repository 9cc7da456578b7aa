// What all subscribers of a node want together, each thing once, and whose measurements that takes.
#pragma once

#include <map>
#include <string>

#include "control/state.h"
#include "server/agent_set.h"
#include "server/metric_queue.h"

namespace faultline::server {

// Not thread-safe; a copy may go to another thread.
class MetricDemand {
 public:
  // Agents' ids that a node sends to another at the most: when there are more it asks for all.
  static constexpr size_t kMaxIdBytes = 1 << 20;

  // A subscriber comes, or goes. Result: false when others want all that it wants.
  bool Add(const MetricFilter& filter);
  bool Remove(const MetricFilter& filter);

  bool empty() const { return all_ == 0 && experiments_.empty() && selectors_.empty(); }
  bool operator==(const MetricDemand&) const = default;
  // The agents of the named experiments' targets, in that state.
  AgentSet OfExperiments(const control::State& state) const;
  // The same and those of `agents` that have a target which is observed.
  AgentSet WithObserved(AgentSet of_experiments, const control::AgentMap& agents) const;

 private:
  using Counts = std::map<std::string, size_t>;  // subscribers, never 0
  static bool Enter(const std::string& wanted, Counts* counts);
  static bool Leave(const std::string& wanted, Counts* counts);

  size_t all_ = 0;
  Counts experiments_, selectors_;
};

}  // namespace faultline::server
