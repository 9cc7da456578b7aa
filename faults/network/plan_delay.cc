// Kinds whose packets come later.
#include <algorithm>

#include "faults/network/plan.h"
#include "faults/network/plan_units.h"

namespace faultline::network {
namespace {

namespace pb = ::network::v1;

Jitter::Shape ShapeOf(pb::Distribution distribution) {
  switch (distribution) {
    case pb::DISTRIBUTION_NORMAL:
      return Jitter::Shape::kNormal;
    case pb::DISTRIBUTION_PARETO:
      return Jitter::Shape::kPareto;
    case pb::DISTRIBUTION_TABLE:
      return Jitter::Shape::kTable;
    default:
      return Jitter::Shape::kUniform;
  }
}

}  // namespace

ActionPlan Plan(const pb::NetworkLatency& latency, uint64_t seed) {
  Jitter jitter{.shape = ShapeOf(latency.distribution()),
                .width_ns = MillisToNanos(latency.jitter_ms()),
                .correlation = latency.correlation_percent() / 100,
                .sample = {latency.table_us().begin(), latency.table_us().end()}};
  const uint64_t delay_ns = MillisToNanos(latency.delay_ms());
  ActionPlan plan;
  // With jitter a flow's packets would overtake each other in the kernel.
  if (jitter.width_ns == 0 && delay_ns <= FL_FQ_MOST_NS) plan.hold_ns = delay_ns;
  plan.action = FL_ACT_LANE;
  plan.choice.chance_of_2_32 = FL_ALWAYS;
  plan.lane = DelayModel(delay_ns, std::move(jitter), seed);
  plan.acted.in_kernel = &chaos::v1::FaultCounters::set_delayed;
  return plan;
}

ActionPlan Plan(const pb::NetworkBandwidth& bandwidth, uint64_t /*seed*/) {
  constexpr double kDefaultQueueSeconds = 0.1, kLeastQueueBytes = 65'536, kMostQueueBytes = 1 << 26;
  const double automatic = std::clamp(bandwidth.rate_bps() / 8 * kDefaultQueueSeconds,
                                      kLeastQueueBytes, kMostQueueBytes);
  const double queue_bytes = bandwidth.queue_bytes() > 0 ? bandwidth.queue_bytes() : automatic;
  ActionPlan plan;
  plan.action = FL_ACT_LANE;
  plan.choice.chance_of_2_32 = FL_ALWAYS;
  plan.lane =
      RateLimit(static_cast<uint64_t>(bandwidth.rate_bps()),
                static_cast<uint64_t>(bandwidth.burst_bytes()), static_cast<uint64_t>(queue_bytes));
  plan.acted = {.in_kernel = &chaos::v1::FaultCounters::set_queued,
                .in_lane = &chaos::v1::FaultCounters::set_dropped};
  return plan;
}

ActionPlan Plan(const pb::NetworkReorder& reorder, uint64_t /*seed*/) {
  ActionPlan plan;
  plan.action = FL_ACT_LANE;
  plan.choice.chance_of_2_32 = OfTwoTo32(reorder.reorder_percent());
  plan.lane = HoldBack{MillisToNanos(reorder.hold_ms())};
  plan.acted.in_kernel = &chaos::v1::FaultCounters::set_reordered;
  return plan;
}

}  // namespace faultline::network
