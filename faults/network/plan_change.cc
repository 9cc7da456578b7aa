// Kinds whose packets come otherwise than they were sent.
#include "faults/network/plan.h"
#include "faults/network/plan_units.h"

namespace faultline::network {

namespace pb = ::network::v1;

// The lane chooses, not the kernel: what is not chosen must take the same way to keep its order.
ActionPlan Plan(const pb::NetworkDuplicate& duplicate, uint64_t seed) {
  ActionPlan plan;
  plan.action = FL_ACT_LANE;
  plan.choice.chance_of_2_32 = FL_ALWAYS;
  plan.lane = Duplicator{Chance(OfTwoTo32(duplicate.duplicate_percent()), seed)};
  plan.acted.in_lane = &chaos::v1::FaultCounters::set_duplicated;
  return plan;
}

ActionPlan Plan(const pb::NetworkCorrupt& corrupt, uint64_t seed) {
  using Part = Corrupter::Part;
  const Part part = corrupt.part() == pb::CORRUPT_PART_HEADER    ? Part::kHeader
                    : corrupt.part() == pb::CORRUPT_PART_PAYLOAD ? Part::kPayload
                                                                 : Part::kAny;
  ActionPlan plan;
  plan.action = FL_ACT_LANE;
  plan.choice.chance_of_2_32 = FL_ALWAYS;
  plan.lane = Corrupter(Chance(OfTwoTo32(corrupt.corrupt_percent()), seed), corrupt.bits(), part,
                        corrupt.checksum() == pb::CORRUPT_CHECKSUM_RIGHT);
  plan.acted.in_lane = &chaos::v1::FaultCounters::set_corrupted;
  return plan;
}

}  // namespace faultline::network
