#include "faults/network/driver_state.h"

#include <set>

#include "faults/network/datapath.h"

namespace faultline::network {

StatusOr<unsigned> FindRoom(const RuleStates& rules, const faults::ArmRequest& request) {
  std::set<std::string> experiments;
  std::set<unsigned> taken;
  int mine = 0;
  for (const auto& [key, rule] : rules) {
    if (key.target_id != request.key.target_id) continue;
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
