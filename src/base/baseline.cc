#include "base/baseline.h"

#include <algorithm>

#include "base/measurements.h"

namespace faultline {

using chaos::v1::BaselineSlot;
using chaos::v1::FaultBegin;
using chaos::v1::TargetBaseline;
using chaos::v1::TargetSample;

namespace {

bool Has(const TargetSample& sample, const std::string& experiment_id) {
  return std::any_of(sample.faults().begin(), sample.faults().end(), [&](const auto& counters) {
    return counters.experiment_id() == experiment_id;
  });
}

const FaultBegin* Find(const TargetBaseline& kept, const std::string& experiment_id) {
  const auto& faults = kept.faults();
  const auto found = std::find_if(faults.begin(), faults.end(), [&](const FaultBegin& fault) {
    return fault.experiment_id() == experiment_id;
  });
  return found == faults.end() ? nullptr : &*found;
}

}  // namespace

uint64_t SinceNs(int64_t from_unix_ns, int64_t to_unix_ns) {
  if (to_unix_ns <= from_unix_ns) return 0;
  return static_cast<uint64_t>(to_unix_ns) - static_cast<uint64_t>(from_unix_ns);
}

BatchTime TimeOf(const chaos::v1::MetricsBatch& batch) {
  const auto end = static_cast<uint64_t>(batch.timestamp_ns());
  return {batch.position().incarnation(), batch.position().sequence(),
          static_cast<int64_t>(end - batch.interval_ns()), batch.timestamp_ns(),
          batch.interval_ns()};
}

std::optional<bool> IsBefore(const BaselineSlot& slot, uint64_t incarnation, uint64_t sequence) {
  if (incarnation == 0 || slot.incarnation() != incarnation) return std::nullopt;
  return slot.last() < sequence;
}

void Baseline::Add(const TargetSample& sample, const BatchTime& when) {
  NoteFaults(sample, when);
  if (sample.faults_size() > 0) {
    slot_open_ = false;
    return;
  }
  auto* slots = kept_.mutable_slots();
  slot_open_ = slot_open_ && !slots->empty() &&
               slots->rbegin()->incarnation() == when.incarnation &&
               slots->rbegin()->measured().duration_ns() < kSlotNs &&
               SinceNs(slots->rbegin()->end_unix_ns(), when.begin_unix_ns) < kSlotNs;
  if (!slot_open_) {
    BaselineSlot* fresh = slots->Add();
    fresh->set_begin_unix_ns(when.begin_unix_ns);
    fresh->set_incarnation(when.incarnation);
    fresh->set_first(when.sequence);
  }
  slot_open_ = true;
  BaselineSlot& slot = *slots->rbegin();
  slot.set_last(when.sequence);
  AddMeasurements(ToMeasurements(sample, when.interval_ns), slot.mutable_measured());
  slot.set_end_unix_ns(when.end_unix_ns);
  Trim();
}

void Baseline::NoteFaults(const TargetSample& sample, const BatchTime& when) {
  auto* faults = kept_.mutable_faults();
  for (FaultBegin& fault : *faults) {
    const bool on = Has(sample, fault.experiment_id());
    fault.set_off_ns(on ? 0 : fault.off_ns() + when.interval_ns);
  }
  const auto ended = std::remove_if(faults->begin(), faults->end(), [](const FaultBegin& fault) {
    return fault.off_ns() >= kForgetNs;
  });
  faults->erase(ended, faults->end());
  for (const auto& counters : sample.faults()) {
    const std::string& id = counters.experiment_id();
    if (faults->size() == kMaxFaults) return;
    if (!id.empty() && Find(kept_, id) == nullptr) *faults->Add() = BeginOf(id, when);
  }
}

FaultBegin Baseline::BeginOf(const std::string& experiment_id, const BatchTime& when) const {
  if (const FaultBegin* known = Find(kept_, experiment_id)) return *known;
  FaultBegin begin;
  begin.set_experiment_id(experiment_id);
  begin.set_incarnation(when.incarnation);
  begin.set_sequence(when.sequence);
  begin.set_unix_ns(when.begin_unix_ns);
  return begin;
}

void Baseline::Take(const TargetBaseline& given) {
  TargetBaseline all;
  for (const BaselineSlot& slot : kept_.slots()) {
    if (!given.slots().empty()) {
      const BaselineSlot& oldest = given.slots(0);
      const auto before = IsBefore(slot, oldest.incarnation(), oldest.first());
      if (!before.value_or(slot.end_unix_ns() <= oldest.begin_unix_ns())) continue;
    }
    *all.add_slots() = slot;
  }
  all.mutable_slots()->MergeFrom(given.slots());
  *all.mutable_faults() = kept_.faults();
  for (const FaultBegin& fault : given.faults()) {
    if (all.faults_size() == kMaxFaults) break;
    if (Find(all, fault.experiment_id()) == nullptr) *all.add_faults() = fault;
  }
  kept_ = std::move(all);
  slot_open_ = false;
  Trim();
}

void Baseline::Trim() {
  auto* slots = kept_.mutable_slots();
  uint64_t length_ns = 0;
  int first = slots->size();
  while (first > 0 && length_ns < kept_ns_ && slots->size() - first < kMaxSlots) {
    length_ns += slots->Get(--first).measured().duration_ns();
  }
  slots->DeleteSubrange(0, first);
}

}  // namespace faultline
