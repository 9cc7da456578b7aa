#include "server/metric_demand.h"

#include <algorithm>

#include "control/selector.h"

namespace faultline::server {

bool MetricDemand::Enter(const std::string& wanted, Counts* counts) {
  return ++(*counts)[wanted] == 1;
}

bool MetricDemand::Leave(const std::string& wanted, Counts* counts) {
  const auto count = counts->find(wanted);
  if (--count->second > 0) return false;
  counts->erase(count);
  return true;
}

bool MetricDemand::Add(const MetricFilter& filter) {
  bool changed = filter.all && ++all_ == 1;
  for (const auto& id : filter.experiment_ids) changed |= Enter(id, &experiments_);
  if (!filter.target.empty()) changed |= Enter(filter.target, &selectors_);
  return changed;
}

bool MetricDemand::Remove(const MetricFilter& filter) {
  bool changed = filter.all && --all_ == 0;
  for (const auto& id : filter.experiment_ids) changed |= Leave(id, &experiments_);
  if (!filter.target.empty()) changed |= Leave(filter.target, &selectors_);
  return changed;
}

AgentSet MetricDemand::OfExperiments(const control::State& state) const {
  if (all_ > 0) return {.all = true};
  AgentSet agents;
  for (const auto& [id, count] : experiments_) {
    const auto* record = state.Find(id);
    if (record == nullptr) continue;
    for (const auto& pair : record->experiment().targets()) agents.ids.insert(pair.agent_id());
  }
  return agents;
}

AgentSet MetricDemand::WithObserved(AgentSet of_experiments,
                                    const control::AgentMap& agents) const {
  if (of_experiments.all) return of_experiments;
  for (const auto& [text, count] : selectors_) {
    const auto selector = *control::Selector::Parse(text);  // validated before
    for (const auto& [id, agent] : agents) {
      const bool observed =
          std::any_of(agent.targets().begin(), agent.targets().end(),
                      [&](const chaos::v1::Target& target) { return selector.Matches(target); });
      if (observed) of_experiments.ids.insert(id);
    }
  }
  size_t bytes = 0;
  for (const auto& id : of_experiments.ids) bytes += id.size();
  return bytes > kMaxIdBytes ? AgentSet{.all = true} : of_experiments;
}

}  // namespace faultline::server
