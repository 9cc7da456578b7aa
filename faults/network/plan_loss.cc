// Kinds whose packets vanish.
#include "faults/network/plan.h"
#include "faults/network/plan_units.h"

namespace faultline::network {

ActionPlan Plan(const ::network::v1::NetworkLoss& loss, uint64_t /*seed*/) {
  ActionPlan plan;
  plan.action = FL_ACT_LOSE;
  plan.choice.chance_of_2_32 = OfTwoTo32(loss.loss_percent());
  plan.acted.in_kernel = &chaos::v1::FaultCounters::set_dropped;
  return plan;
}

}  // namespace faultline::network
