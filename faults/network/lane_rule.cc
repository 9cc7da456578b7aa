#include "faults/network/lane_rule.h"

#include "faults/network/lane_frame.h"

namespace faultline::network {
namespace {

Treatment TreatBy(RateLimit& limit, const Passing& frame) {
  const auto delay_ns = limit.Pass(frame.direction, frame.at_ns, WireBytes(frame.bytes));
  if (!delay_ns) return {.acted = true, .drop = true};
  return {.delay_ns = *delay_ns};
}

Treatment TreatBy(DelayModel& model, const Passing&) { return {.delay_ns = model.Draw()}; }

bool Needs(const RateLimit& limit) { return !limit.takes_trains(); }
bool Needs(const DelayModel&) { return false; }

}  // namespace

Treatment Treat(LaneRule* rule, const Passing& frame) {
  return std::visit([&](auto& what) { return TreatBy(what, frame); }, *rule);
}

bool NeedsSinglePackets(const LaneRule& rule) {
  return std::visit([](const auto& what) { return Needs(what); }, rule);
}

}  // namespace faultline::network
