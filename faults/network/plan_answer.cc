// Kinds whose packets are answered in their receiver's place.
#include "faults/network/plan.h"

namespace faultline::network {
namespace {

namespace pb = ::network::v1;

// The lane makes of every packet that it gets what `answerer` says.
ActionPlan AnswerAll(LaneRule answerer) {
  ActionPlan plan;
  plan.action = FL_ACT_LANE;
  plan.choice.chance_of_2_32 = FL_ALWAYS;
  plan.lane = std::move(answerer);
  return plan;
}

ActionPlan LoseAll() {
  ActionPlan plan;
  plan.action = FL_ACT_LOSE;
  plan.choice.chance_of_2_32 = FL_ALWAYS;
  return plan;
}

}  // namespace

// An opening is no connection yet, and a reset ends one already.
ActionPlan Plan(const pb::TcpReset&, uint64_t /*seed*/) {
  ActionPlan plan = AnswerAll(Resetter{});
  plan.only = {.protocols = {FL_PROTO_TCP}, .flags = {.mask = kTcpSyn | kTcpRst, .value = 0}};
  plan.acted.in_lane = &chaos::v1::FaultCounters::set_resets;
  return plan;
}

ActionPlan Plan(const pb::ConnectFail& fail, uint64_t /*seed*/) {
  const bool loses = fail.failure() == pb::CONNECT_FAILURE_TIMED_OUT;
  const Refusal refusal =
      fail.failure() == pb::CONNECT_FAILURE_HOST_UNREACHABLE  ? Refusal::kHostUnreachable
      : fail.failure() == pb::CONNECT_FAILURE_NET_UNREACHABLE ? Refusal::kNetUnreachable
                                                              : Refusal::kReset;
  ActionPlan plan = loses ? LoseAll() : AnswerAll(Refuser{refusal});
  plan.only = {.protocols = {FL_PROTO_TCP}, .flags = {.mask = kTcpSyn | kTcpAck, .value = kTcpSyn}};
  (loses ? plan.acted.in_kernel : plan.acted.in_lane) =
      &chaos::v1::FaultCounters::set_connects_failed;
  return plan;
}

}  // namespace faultline::network
