#include "faults/network/driver_state.h"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <set>

#include "base/clock.h"
#include "base/traffic.h"
#include "bpf/cgroup.h"
#include "bpf/probe.h"
#include "faults/network/datapath.h"

namespace faultline::network {

void AddDelays(chaos::v1::FaultDelays delays, chaos::v1::TargetSample* sample) {
  if (delays.given().index().empty() && delays.no_room() == 0) return;
  *sample->add_fault_delays() = std::move(delays);
}

void TellOneWay(chaos::v1::TargetSample* sample) {
  if (sample->has_traffic()) {
    sample->mutable_traffic()->clear_unpaired_handshakes();
    if (faultline::IsEmpty(sample->traffic())) sample->clear_traffic();
  }
  const bool untimed = sample->packets() > 0 && sample->latency().index().empty();
  if (!untimed && sample->not_measurable() == 0) return;
  // How many requests there were is not seen: one stands for all.
  sample->set_not_measurable(std::max<uint64_t>(sample->not_measurable(), 1));
  sample->set_not_measurable_reason("a cgroup target is measured by its ports: give it ports");
}

void RetiredCounters::Add(const std::string& target_id, chaos::v1::FaultCounters counters,
                          chaos::v1::FaultDelays delays) {
  chaos::v1::TargetSample& told = by_target_[target_id];
  *told.add_faults() = std::move(counters);
  AddDelays(std::move(delays), &told);
}

void RetiredCounters::TellOf(const std::string& target_id, chaos::v1::TargetSample* sample) {
  const auto mine = by_target_.extract(target_id);
  if (mine.empty()) return;
  sample->MergeFrom(mine.mapped());
}

void RetiredCounters::TellRest(std::vector<chaos::v1::TargetSample>* samples) {
  while (!by_target_.empty()) {
    const std::string target_id = by_target_.begin()->first;
    chaos::v1::TargetSample& sample = samples->emplace_back();
    sample.set_target_id(target_id);
    TellOf(target_id, &sample);
  }
}

// Not by their bytes: labels may come in any order.
bool AreSame(const chaos::v1::Target& a, const chaos::v1::Target& b) {
  return google::protobuf::util::MessageDifferencer::Equals(a, b);
}

Status SameCgroup(const TargetState& state) {
  if (!state.cgroup_id) return absl::OkStatus();
  FL_ASSIGN_OR_RETURN(const bpf::Cgroup now, bpf::FindCgroup(state.target.cgroup()));
  if (now.id == *state.cgroup_id) return absl::OkStatus();
  return MakeError(StatusCode::kUnavailable, "cgroup '{}' is another one now",
                   state.target.cgroup());
}

StatusOr<unsigned> TargetSlots::Find() const {
  for (unsigned slot = 0; slot < taken.size(); ++slot) {
    if (!taken[slot]) return slot;
  }
  return MakeError(StatusCode::kResourceExhausted, "this agent has more than {} targets",
                   FL_MAX_TARGETS);
}

RuleStates::const_iterator FirstOf(const RuleStates& rules, const std::string& target_id) {
  return rules.lower_bound({"", 0, target_id});
}

StatusOr<unsigned> FindRoom(const RuleStates& rules, const faults::ArmRequest& request) {
  std::set<std::string> experiments;
  std::set<unsigned> taken;
  int mine = 0;
  for (auto it = FirstOf(rules, request.key.target_id); it != rules.end(); ++it) {
    const auto& [key, rule] = *it;
    if (key.target_id != request.key.target_id) break;
    if (key == request.key) continue;
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

Status CheckHolds(const RuleStates& rules, const faults::FaultKey& key, const HoldTimes& holds_ns) {
  for (const unsigned direction : {FL_EGRESS, FL_INGRESS}) {
    if (holds_ns[direction] == 0) continue;
    std::set<std::string> experiments;
    uint64_t others_ns = 0;
    for (auto it = FirstOf(rules, key.target_id); it != rules.end(); ++it) {
      if (it->first.target_id != key.target_id) break;
      const uint64_t hold_ns = it->second.holds_ns[direction];
      if (it->first == key || hold_ns == 0) continue;
      others_ns += hold_ns;
      experiments.insert(it->first.experiment_id);
    }
    const uint64_t sum_ns = others_ns + holds_ns[direction];
    if (sum_ns <= kMaxHeldNs) continue;
    const auto milliseconds = [](uint64_t ns) { return static_cast<double>(ns) / kNanosPerMilli; };
    return MakeError(StatusCode::kFailedPrecondition,
                     "target {}: the faults of {} hold {} packets back by {} ms, and {} would by "
                     "{} ms more: {} ms altogether, of at most {} ms",
                     key.target_id, fmt::join(experiments, ", "),
                     direction == FL_EGRESS ? "egress" : "ingress", milliseconds(others_ns),
                     key.experiment_id, milliseconds(holds_ns[direction]), milliseconds(sum_ns),
                     milliseconds(kMaxHeldNs));
  }
  return absl::OkStatus();
}

}  // namespace faultline::network
