// Kinds whose packets come later.
#include "faults/network/plan.h"
#include "faults/network/plan_units.h"

namespace faultline::network {

namespace pb = ::network::v1;

ActionPlan Plan(const pb::NetworkLatency& latency, uint64_t seed) {
  const auto shape = latency.distribution() == pb::DISTRIBUTION_NORMAL
                         ? DelayModel::Shape::kNormal
                         : DelayModel::Shape::kUniform;
  ActionPlan plan;
  plan.action = FL_ACT_LANE;
  plan.choice.chance_of_2_32 = FL_ALWAYS;
  plan.lane = DelayModel(MillisToNanos(latency.delay_ms()), MillisToNanos(latency.jitter_ms()),
                         shape, seed);
  plan.acted = &chaos::v1::FaultCounters::set_delayed;
  return plan;
}

}  // namespace faultline::network
