#include "faults/network/lane_rule.h"

#include "faults/network/lane_frame.h"
#include "faults/network/reset.h"

namespace faultline::network {
namespace {

Treatment TreatBy(RateLimit& limit, const Passing& frame) {
  const size_t bytes = WireBytes(frame.bytes);
  const auto passage = limit.Pass(frame.direction, frame.at_ns, bytes);
  if (!passage) return {.acted = true, .drop = true};
  return {.delay_ns = passage->delay_ns, .link_bytes = bytes, .waited = passage->waited};
}

Treatment TreatBy(Duplicator& duplicator, const Passing&) {
  const bool chosen = duplicator.chance.Draw().has_value();
  return {.acted = chosen, .twice = chosen};
}

Treatment TreatBy(Corrupter& corrupter, const Passing& frame) {
  return {.acted = corrupter.Corrupt(frame.bytes)};
}

Treatment TreatBy(const HoldBack& back, const Passing&) {
  return {.delay_ns = back.hold_ns, .overtaken = true};
}

Treatment TreatBy(DelayModel& model, const Passing&) {
  return {.delay_ns = model.Draw(), .drawn = model.IsDrawn()};
}

Treatment AnsweredBy(std::vector<Answer> answers) {
  const bool acted = !answers.empty();
  return {.acted = acted, .answers = std::move(answers)};
}

Treatment TreatBy(const Resetter&, const Passing& frame) {
  return AnsweredBy(ResetsFor(frame.bytes, frame.direction));
}

Treatment TreatBy(const Refuser& refuser, const Passing& frame) {
  return AnsweredBy(RefusalOf(refuser.how, frame.bytes, frame.direction));
}

Treatment TreatBy(const HttpAnswerer& answerer, const Passing& frame) {
  auto verdict = answerer.Ask(frame.bytes, frame.direction);
  return {.delay_ns = verdict.delay_ns,
          .acted = verdict.hit,
          .not_meant = !verdict.hit,
          .overtaken = verdict.delay_ns > 0,
          .answers = std::move(verdict.answers)};
}

Treatment TreatBy(const DnsAnswerer& answerer, const Passing& frame) {
  auto outcome = answerer.Ask(frame.bytes, frame.direction);
  return {.acted = outcome.hit,
          .drop = outcome.hit && outcome.answers.empty(),
          .answers = std::move(outcome.answers)};
}

uint64_t HoldOf(const HoldBack& back) { return back.hold_ns; }
uint64_t HoldOf(const DelayModel& model) { return model.delay_ns(); }
uint64_t HoldOf(const HttpAnswerer& answerer) { return answerer.delay_ns(); }
template <typename Other>
uint64_t HoldOf(const Other&) {
  return 0;
}

bool Needs(const RateLimit& limit) { return !limit.takes_trains(); }
bool Needs(const Corrupter&) { return true; }
template <typename Other>
bool Needs(const Other&) {
  return false;
}

}  // namespace

Treatment Treat(LaneRule* rule, const Passing& frame) {
  return std::visit([&](auto& what) { return TreatBy(what, frame); }, *rule);
}

uint64_t HoldNs(const LaneRule& rule) {
  return std::visit([](const auto& what) { return HoldOf(what); }, rule);
}

bool NeedsSinglePackets(const LaneRule& rule) {
  return std::visit([](const auto& what) { return Needs(what); }, rule);
}

}  // namespace faultline::network
