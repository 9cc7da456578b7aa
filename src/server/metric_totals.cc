#include "server/metric_totals.h"

#include <algorithm>

#include "base/clock.h"
#include "control/report_armings.h"

namespace faultline::server {

using chaos::v1::FaultCounters;
using chaos::v1::SourcePosition;
using chaos::v1::TargetSample;

MetricTotals::Target* MetricTotals::TargetOf(const TargetSample& sample) {
  const auto known = targets_.find(sample.target_id());
  if (known != targets_.end()) return &known->second;
  if (sample.faults().empty() || faults_ >= kMaxFaults) return nullptr;
  return &targets_[sample.target_id()];
}

std::vector<MetricTotals::Sums> MetricTotals::Add(const chaos::v1::MetricsBatch& batch,
                                                  bool follows, uint64_t now_ns) {
  ForgetWhatIsSilent(now_ns);
  std::vector<Sums> all;
  all.reserve(static_cast<size_t>(batch.samples_size()));
  for (const TargetSample& sample : batch.samples()) {
    Sums& sums = all.emplace_back();
    Target* target = TargetOf(sample);
    if (target != nullptr) target->heard_ns = now_ns;
    std::map<FaultId, FaultCounters> summed, as_they_come;
    for (const FaultCounters& counters : sample.faults()) {
      const FaultId id(counters.experiment_id(), counters.fault_index());
      const FaultCounters* sum = AddCounters(counters, batch.position(), follows, target);
      (sum != nullptr ? summed : as_they_come)[id] = sum != nullptr ? *sum : counters;
    }
    if (target != nullptr) sums.dropped = target->dropped;
    for (const auto& [id, counters] : as_they_come) sums.dropped += counters.dropped();
    summed.merge(as_they_come);
    for (auto& [id, told] : summed) sums.faults.push_back(std::move(told));
  }
  return all;
}

const FaultCounters* MetricTotals::AddCounters(const FaultCounters& counters,
                                               const SourcePosition& position, bool follows,
                                               Target* target) {
  if (target == nullptr) return nullptr;
  const FaultId id(counters.experiment_id(), counters.fault_index());
  auto known = target->faults.find(id);
  if (known == target->faults.end()) {
    if (faults_ >= kMaxFaults) return nullptr;
    ++faults_;
    known = target->faults.try_emplace(id).first;
    known->second.sum.set_experiment_id(id.first);
    known->second.sum.set_fault_index(id.second);
  }
  Fault& fault = known->second;
  fault.heard_ns = target->heard_ns;
  const FaultCounters growth = Step(counters, position, follows, &fault);
  control::AddUpCounters(growth, &fault.sum);
  target->dropped += growth.dropped();
  return &fault.sum;
}

FaultCounters MetricTotals::Step(const FaultCounters& counters, const SourcePosition& position,
                                 bool follows, Fault* fault) {
  const bool late =
      fault->starts[1].sequence != 0 && fault->starts[1].incarnation == position.incarnation();
  Start& start = fault->starts[late ? 1 : 0];
  FaultCounters growth = counters;
  if (start.incarnation == position.incarnation()) {
    // Twice in one batch, or not in the one before: it was armed in between.
    const bool twice = start.sequence == position.sequence();
    const bool was_off = follows && start.sequence + 1 != position.sequence();
    const bool fell =
        counters.matched() < start.last.matched() || counters.dropped() < start.last.dropped();
    if (!twice && !was_off && !fell) control::TakeOffCounters(start.last, &growth);
  } else {
    fault->starts[1] = std::move(fault->starts[0]);
  }
  start.incarnation = position.incarnation();
  start.sequence = position.sequence();
  start.last = counters;
  return growth;
}

// Looks when they have doubled, once a second at the most.
void MetricTotals::ForgetWhatIsSilent(uint64_t now_ns) {
  if (faults_ < look_at_ || now_ns < looked_ns_ + kNanosPerSecond) return;
  looked_ns_ = now_ns;
  const auto silent = [now_ns](const auto& entry) {
    return entry.second.heard_ns + kForgetNs < now_ns;
  };
  for (auto& [id, target] : targets_) faults_ -= std::erase_if(target.faults, silent);
  std::erase_if(targets_, silent);
  look_at_ = std::clamp(2 * faults_, kFewFaults, kMaxFaults);
}

}  // namespace faultline::server
