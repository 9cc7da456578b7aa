#include "base/fault_delays.h"

#include <algorithm>

#include "base/histogram.h"

namespace faultline {

using chaos::v1::FaultDelays;

namespace {

bool IsSameFault(const FaultDelays& a, const FaultDelays& b) {
  return a.fault_index() == b.fault_index() && a.experiment_id() == b.experiment_id();
}

}  // namespace

void MergeDelays(const FaultDelaysList& from, FaultDelaysList* into) {
  for (FaultDelays& sum : *into) {
    sum.clear_packets();
    sum.clear_p50_ms();
    sum.clear_p99_ms();
  }
  for (const FaultDelays& more : from) {
    const auto same = std::find_if(into->begin(), into->end(),
                                   [&](const FaultDelays& sum) { return IsSameFault(sum, more); });
    if (same == into->end() && into->size() >= kMaxFaultDelays) continue;
    FaultDelays* sum = same == into->end() ? into->Add() : &*same;
    sum->set_experiment_id(more.experiment_id());
    sum->set_fault_index(more.fault_index());
    MergeSparse(more.given(), sum->mutable_given()).IgnoreError();
    sum->set_no_room(sum->no_room() + more.no_room());
    sum->set_packets(more.packets());
    sum->set_p50_ms(more.p50_ms());
    sum->set_p99_ms(more.p99_ms());
  }
}

}  // namespace faultline
