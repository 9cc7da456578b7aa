#include "faults/network/rule.h"

#include <algorithm>

#include "faults/network/filter_plan.h"
#include "faults/network/local_ports_spec.h"
#include "faults/network/partition.h"

namespace faultline::network {
namespace {

namespace pb = ::network::v1;
using google::protobuf::Any;

Status NarrowTo(const pb::TrafficFilter& filter, const chaos::v1::Target& target, RulePlan* plan) {
  plan->narrow = ToNarrow(filter);
  plan->hosts.in = {filter.peer_host().begin(), filter.peer_host().end()};
  plan->hosts.out = {filter.exclude_peer_host().begin(), filter.exclude_peer_host().end()};
  plan->exposes = filter.include_protected();
  return NarrowToFilter(filter, target, &plan->filter);
}

template <typename Parameters>
Status Narrow(const Parameters& parameters, const chaos::v1::Target& target, RulePlan* plan) {
  return NarrowTo(parameters.filter(), target, plan);
}

Status Narrow(const pb::DnsFault& fault, const chaos::v1::Target& target, RulePlan* plan) {
  return NarrowTo(FilterOf(fault, target), target, plan);
}

Status Narrow(const pb::ConnectFail& fault, const chaos::v1::Target& target, RulePlan* plan) {
  const pb::TrafficFilter& filter = fault.filter();
  const bool both = filter.direction() == pb::DIRECTION_BOTH;
  if (both && !target.ports().empty()) {
    return MakeError(StatusCode::kFailedPrecondition,
                     "direction=both: what comes to target {} is for the ports on which it serves, "
                     "and what it opens leaves by others: one fault of direction egress and one of "
                     "ingress, or peer_port of a service",
                     target.target_id());
  }
  return NarrowTo(filter, target, plan);
}

Status Narrow(const pb::NetworkPartition& partition, const chaos::v1::Target& target,
              RulePlan* plan) {
  const pb::TrafficFilter filter = FilterOf(partition);
  plan->narrow = ToNarrow(filter);
  plan->exposes = filter.include_protected();
  return NarrowToPartition(partition, target, &plan->filter);
}

// Leaves out what the kind does not concern; its validation holds that something remains.
void Narrow(const Concern& only, RulePlan* plan) {
  if (plan->filter.protocols.empty()) plan->filter.protocols = only.protocols;
  plan->narrow.tcp_flags_mask |= only.flags.mask;
  plan->narrow.tcp_flags |= only.flags.value;
  if (only.payload) plan->narrow.min_payload = std::max(plan->narrow.min_payload, 1u);
}

// Fills `plan` when the message is of that kind. Of what the target asks of others its ports say
// nothing: the fault sees it without.
template <typename Parameters>
StatusOr<bool> PlanAs(const Any& config, const chaos::v1::Target& target, uint64_t seed,
                      RulePlan* plan) {
  Parameters parameters;
  if (!config.UnpackTo(&parameters)) return false;
  chaos::v1::Target seen = target;
  if (AsksOthers(parameters)) seen.clear_ports();
  FL_ASSIGN_OR_RETURN(plan->filter, TargetFilter(seen));
  FL_RETURN_IF_ERROR(Narrow(parameters, seen, plan));
  plan->action = Plan(parameters, seed);
  Narrow(plan->action.only, plan);
  return true;
}

constexpr auto kPlans = {
    PlanAs<pb::NetworkLatency>,   PlanAs<pb::NetworkLoss>,      PlanAs<pb::NetworkBandwidth>,
    PlanAs<pb::NetworkBlackhole>, PlanAs<pb::NetworkPartition>, PlanAs<pb::NetworkDuplicate>,
    PlanAs<pb::NetworkCorrupt>,   PlanAs<pb::NetworkReorder>,   PlanAs<pb::TcpReset>,
    PlanAs<pb::ConnectFail>,      PlanAs<pb::DnsFault>,         PlanAs<pb::HttpFault>,
};

}  // namespace

bool RulePlan::Picks() const {
  return narrow.packets_out != 0 || narrow.dscp != 0 || narrow.min_bytes != 0 ||
         narrow.max_bytes != 0 || narrow.tcp_flags_mask != 0 || narrow.min_payload != 0 ||
         narrow.first_bytes != 0 || action.choice.chance_of_2_32 < FL_ALWAYS;
}

StatusOr<RulePlan> PlanRule(const Any& config, const chaos::v1::Target& target, uint64_t seed) {
  RulePlan plan;
  for (const auto plan_as : kPlans) {
    FL_ASSIGN_OR_RETURN(const bool is_kind, plan_as(config, target, seed, &plan));
    if (is_kind) return plan;
  }
  return MakeError(StatusCode::kInvalidArgument, "'{}' is not a network fault", config.type_url());
}

fl_rule ToKernelRule(const RulePlan& plan, const faults::ArmRequest& request, uint64_t seed) {
  return {.deadline_ns = request.deadline_boottime_ns,
          .armed_ns = 0,  // the caller's
          .seed = request.seed,
          .choice_seed = seed,
          .action = plan.action.action,
          .exposes = plan.exposes ? 1u : 0u,
          .hold_ns = plan.action.hold_ns,
          .choice = plan.action.choice,
          .sole_peer = {},
          .narrow = plan.narrow};
}

}  // namespace faultline::network
