#include "server/metric_demand.h"

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

AgentSet MetricDemand::AgentsIn(const control::State& state) const {
  if (all_ > 0) return {.all = true};
  AgentSet agents;
  for (const auto& [id, count] : experiments_) {
    const auto* record = state.Find(id);
    if (record == nullptr) continue;
    for (const auto& pair : record->experiment().targets()) agents.ids.insert(pair.agent_id());
  }
  for (const auto& [text, count] : selectors_) {
    // Validated before.
    const auto targets = control::SelectTargets(*control::Selector::Parse(text), state.agents);
    if (!targets.ok()) continue;
    for (const auto* target : *targets) agents.ids.insert(target->agent_id());
  }
  size_t bytes = 0;
  for (const auto& id : agents.ids) bytes += id.size();
  return bytes > kMaxIdBytes ? AgentSet{.all = true} : agents;
}

}  // namespace faultline::server
