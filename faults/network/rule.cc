#include "faults/network/rule.h"

#include "faults/network/filter_plan.h"
#include "faults/network/partition.h"

namespace faultline::network {
namespace {

namespace pb = ::network::v1;
using google::protobuf::Any;

template <typename Parameters>
Status Narrow(const Parameters& parameters, const chaos::v1::Target& target, Filter* filter) {
  return NarrowToFilter(parameters.filter(), target, filter);
}

Status Narrow(const pb::NetworkPartition& partition, const chaos::v1::Target& target,
              Filter* filter) {
  return NarrowToPartition(partition, target, filter);
}

// Fills `plan` when the message is of that kind.
template <typename Parameters>
StatusOr<bool> PlanAs(const Any& config, const chaos::v1::Target& target, uint64_t seed,
                      RulePlan* plan) {
  Parameters parameters;
  if (!config.UnpackTo(&parameters)) return false;
  FL_RETURN_IF_ERROR(Narrow(parameters, target, &plan->filter));
  plan->action = Plan(parameters, seed);
  return true;
}

constexpr auto kPlans = {
    PlanAs<pb::NetworkLatency>,   PlanAs<pb::NetworkLoss>,      PlanAs<pb::NetworkBandwidth>,
    PlanAs<pb::NetworkBlackhole>, PlanAs<pb::NetworkPartition>, PlanAs<pb::NetworkDuplicate>,
    PlanAs<pb::NetworkCorrupt>,   PlanAs<pb::NetworkReorder>,
};

}  // namespace

StatusOr<RulePlan> PlanRule(const Any& config, const chaos::v1::Target& target, uint64_t seed) {
  RulePlan plan;
  FL_ASSIGN_OR_RETURN(plan.filter, TargetFilter(target));
  for (const auto plan_as : kPlans) {
    FL_ASSIGN_OR_RETURN(const bool is_kind, plan_as(config, target, seed, &plan));
    if (is_kind) return plan;
  }
  return MakeError(StatusCode::kInvalidArgument, "'{}' is not a network fault", config.type_url());
}

}  // namespace faultline::network
