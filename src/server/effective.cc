#include "server/effective.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "faults/registry.h"

namespace faultline::server {
namespace {

using chaos::v1::EffectiveTarget;
using faults::Effect;

// A fault on the target, with what its group says of it.
struct Found {
  chaos::v1::EffectiveRule rule;
  faults::StackedFault stacked;
};

// As this node knows it now; without anything when it does not.
chaos::v1::Target TargetOf(const control::State& state, const std::string& target_id) {
  const auto agent = state.agents.find(target_id.substr(0, target_id.rfind('/')));
  if (agent == state.agents.end()) return {};
  for (const auto& target : agent->second.targets()) {
    if (target.target_id() == target_id) return target;
  }
  return {};
}

// Of all experiments, in the order in which they began.
std::vector<Found> FaultsOn(const control::State& state, const std::string& target_id) {
  std::vector<Found> found;
  const chaos::v1::Target target = TargetOf(state, target_id);
  for (const uint64_t index : control::UnfinishedOfTarget(state, target_id)) {
    const auto& record = state.experiments.at(index);
    for (const auto& pair : record.experiment().targets()) {
      if (pair.target_id() != target_id || control::HasEnded(pair.phase())) continue;
      const int fault = static_cast<int>(pair.fault_index());
      const auto& config = record.faults(fault).config();
      // None for a kind of a newer program.
      auto stacked = faults::StackingOf(config);
      if (!stacked) stacked.emplace();
      chaos::v1::EffectiveRule rule;
      rule.set_experiment_id(record.experiment().experiment_id());
      rule.set_fault_index(pair.fault_index());
      *rule.mutable_fault() = record.experiment().faults(fault);
      rule.set_phase(pair.phase());
      for (const std::string& name : stacked->acts_on) rule.add_acts_on(name);
      for (std::string& ports : faults::LocalPortsOf(config, target)) {
        rule.add_local_ports(std::move(ports));
      }
      found.push_back({std::move(rule), *std::move(stacked)});
    }
  }
  return found;
}

double Together(const Effect& effect, double so_far) {
  constexpr double kAll = 100;
  switch (effect.sum) {
    case Effect::Sum::kShares:
      return kAll - (kAll - so_far) * (kAll - effect.value) / kAll;
    case Effect::Sum::kLeast:
      return std::min(so_far, effect.value);
    default:
      return so_far + effect.value;
  }
}

void Combine(const std::vector<Found>& found, EffectiveTarget* target) {
  // By what is acted on, and the effect's name.
  std::map<std::pair<std::string, std::string>, Effect> sums;
  for (const Found& one : found) {
    if (one.rule.phase() != chaos::v1::TARGET_PHASE_ACTIVE) continue;
    for (const std::string& acts_on : one.stacked.acts_on) {
      for (const Effect& effect : one.stacked.effects) {
        const auto [at, first] = sums.try_emplace({acts_on, std::string(effect.name)}, effect);
        if (!first) at->second.value = Together(effect, at->second.value);
      }
    }
  }
  for (const auto& [what, effect] : sums) {
    auto* combined = target->add_combined();
    combined->set_acts_on(what.first);
    combined->set_name(what.second);
    combined->set_value(effect.value);
    combined->set_unit(std::string(effect.unit));
  }
}

}  // namespace

google::protobuf::RepeatedPtrField<EffectiveTarget> EffectiveOn(
    const control::State& state, const control::v1::ExperimentRecord& record) {
  std::set<std::string> target_ids;
  for (const auto& pair : record.experiment().targets()) {
    if (!control::HasEnded(pair.phase())) target_ids.insert(pair.target_id());
  }
  google::protobuf::RepeatedPtrField<EffectiveTarget> effective;
  for (const std::string& id : target_ids) {
    auto found = FaultsOn(state, id);
    std::ranges::stable_sort(found, {}, [](const Found& one) { return one.stacked.place; });
    EffectiveTarget* target = effective.Add();
    target->set_target_id(id);
    for (const Found& one : found) *target->add_rules() = one.rule;
    Combine(found, target);
  }
  return effective;
}

}  // namespace faultline::server
