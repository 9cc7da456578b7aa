#include "server/fault_course.h"

#include <algorithm>

#include "base/histogram.h"
#include "control/report_armings.h"

namespace faultline::server {

using chaos::v1::FaultArming;
using chaos::v1::FaultCounters;

bool FaultCourse::WasIn(uint64_t incarnation, uint64_t sequence) const {
  if (armings_.empty()) return false;
  return armings_.back().incarnation() == incarnation && armings_.back().last() == sequence;
}

uint64_t FaultCourse::Add(const FaultCounters& counters, const BatchTime& when, Followed follows) {
  FaultCounters growth = counters;
  if (!Step(counters, when, follows)) control::TakeOffCounters(last_, &growth);
  control::AddUpCounters(growth, sum_.mutable_counters());
  sum_.mutable_counters()->set_experiment_id(counters.experiment_id());
  sum_.mutable_counters()->set_fault_index(counters.fault_index());
  last_ = counters;
  AddSquares(growth);
  return growth.dropped();
}

bool FaultCourse::Step(const FaultCounters& counters, const BatchTime& when, Followed follows) {
  const bool known = !armings_.empty();
  const bool twice = known && WasIn(when.incarnation, when.sequence);
  const bool in_last = known && follows && WasIn(when.incarnation, *follows);
  const bool fell = counters.matched() < last_.matched();
  // While the target has no place it is in no batch, and nothing is armed on it.
  const bool was_away = follows && *follows + 1 != when.sequence;
  if (in_last && !twice && !fell && !was_away) {
    FaultArming& arming = armings_.back();
    arming.set_last(when.sequence);
    *arming.mutable_counters() = counters;
    return false;
  }
  if (twice || in_last) armings_.back().set_ended(true);
  const bool seen_to_begin = twice || follows.has_value() || when.sequence == 1;
  // Over what is missing it may have gone on.
  const bool anew = !known || seen_to_begin || fell || armings_.back().ended() ||
                    armings_.back().incarnation() != when.incarnation;
  Begin(counters, when, seen_to_begin);
  return anew;
}

// Of what this node saw from its beginning to its end nothing is told, unless it lies between two
// armings that would be taken for one without it.
void FaultCourse::Begin(const FaultCounters& counters, const BatchTime& when, bool seen_to_begin) {
  const size_t count = armings_.size();
  const bool first = count == 1 || (count > 1 && armings_[count - 2].ended());
  if (first && control::IsWhole(armings_.back())) armings_.pop_back();
  if (armings_.size() == static_cast<size_t>(control::kMaxArmings))
    armings_.erase(armings_.begin());
  FaultArming& arming = armings_.emplace_back();
  arming.set_incarnation(when.incarnation);
  arming.set_first(when.sequence);
  arming.set_last(when.sequence);
  arming.set_first_matched(counters.matched());
  *arming.mutable_counters() = counters;
  arming.set_began(seen_to_begin);
}

void FaultCourse::EndUnlessIn(const BatchTime& when, uint64_t follows) {
  if (WasIn(when.incarnation, follows)) armings_.back().set_ended(true);
}

void FaultCourse::AddSquares(const FaultCounters& growth) {
  // Not those that were held back in this batch: their delay comes with a later one.
  if (growth.delays_measured() == 0) return;
  const double delayed = static_cast<double>(growth.delays_measured()) / 1e3;
  const double given = static_cast<double>(growth.delay_given_ns()) / 1e9;
  sum_.set_batches(sum_.batches() + 1);
  sum_.set_sum_delayed_squared(sum_.sum_delayed_squared() + delayed * delayed);
  sum_.set_sum_given_squared(sum_.sum_given_squared() + given * given);
  sum_.set_sum_delayed_given(sum_.sum_delayed_given() + delayed * given);
}

void FaultCourse::AddDelays(const chaos::v1::FaultDelays& delays) {
  MergeSparse(delays.given(), sum_.mutable_given()).IgnoreError();  // as AddMeasurements
  sum_.set_given_no_room(sum_.given_no_room() + delays.no_room());
}

chaos::v1::FaultEffect FaultCourse::ToEffect() const {
  chaos::v1::FaultEffect effect = sum_;
  effect.set_by_arming(true);
  if (armings_.size() == 1 && control::IsWhole(armings_.back())) return effect;
  for (const FaultArming& arming : armings_) {
    FaultArming* told = effect.add_armings();
    *told = arming;
    told->mutable_counters()->clear_experiment_id();
    told->mutable_counters()->clear_fault_index();
  }
  return effect;
}

}  // namespace faultline::server
