#include "faults/network/driver_state.h"

#include <set>

#include "bpf/probe.h"
#include "faults/network/datapath.h"

namespace faultline::network {

StatusOr<unsigned> TargetSlots::Find() const {
  for (unsigned slot = 0; slot < taken.size(); ++slot) {
    if (!taken[slot]) return slot;
  }
  return MakeError(StatusCode::kResourceExhausted, "this agent has more than {} targets",
                   FL_MAX_TARGETS);
}

RuleStates::const_iterator FirstOf(const RuleStates& rules, const std::string& target_id) {
  return rules.lower_bound({"", 0, target_id});
}

StatusOr<unsigned> FindRoom(const RuleStates& rules, const faults::ArmRequest& request) {
  std::set<std::string> experiments;
  std::set<unsigned> taken;
  int mine = 0;
  for (auto it = FirstOf(rules, request.key.target_id); it != rules.end(); ++it) {
    const auto& [key, rule] = *it;
    if (key.target_id != request.key.target_id) break;
    if (key == request.key) continue;
    ++mine;
    experiments.insert(key.experiment_id);
    if (rule.seed == request.seed) taken.insert(rule.nth);
  }
  if (mine >= FL_MAX_RULES_PER_TARGET) {
    return MakeError(StatusCode::kFailedPrecondition,
                     "target {} carries {} network faults, as many as it can, of {}: none of {} "
                     "fits beside them",
                     request.key.target_id, mine, fmt::join(experiments, ", "),
                     request.key.experiment_id);
  }
  unsigned nth = 0;
  while (taken.contains(nth)) ++nth;
  return nth;
}

}  // namespace faultline::network
